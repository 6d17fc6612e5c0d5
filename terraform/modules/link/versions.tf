terraform {
  required_version = ">= 1.10"

  required_providers {
    aws = {
      source                = "hashicorp/aws"
      version               = ">= 3.39" # the root pins the line that this copy was rendered for
      configuration_aliases = [aws.near, aws.far]
    }
  }
}
