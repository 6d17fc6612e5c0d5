#% if packer >= (1, 7)
# From 1.7 on builders are plugins: `packer init` installs this one. Before that it was built in.
packer {
  required_plugins {
    amazon = {
      version = ">= 1.2.9"
      source  = "github.com/hashicorp/amazon"
    }
  }
}
#% endif
