"""The written Terraform project of a cluster: main.tf.json, the modules beside it, the provider line. Pure."""
