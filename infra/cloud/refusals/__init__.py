"""What AWS, its provider and Terraform refuse, in a user's words."""
