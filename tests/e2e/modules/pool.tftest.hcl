mock_provider "aws" {
  mock_resource "aws_launch_template" {
    defaults = {
      id             = "lt-0123456789abcdef0"
      latest_version = 7
    }
  }

  mock_data "aws_ec2_instance_type_offerings" {
    defaults = {
      instance_types = []
    }
  }
}

variables {
  cluster          = "lab"
  address          = "module.pool_gpu"
  name             = "gpu"
  profile          = "gpu"
  image_id         = "ami-0123456789abcdef0"
  instance_types   = ["p5.48xlarge"]
  size             = { min = 1, desired = null, max = 4 }
  capacity         = { kind = "on-demand", reservation = null, on_demand_base = 0 }
  disk             = 100
  subnets          = { "us-west-2b" = "subnet-b", "us-west-2a" = "subnet-a", "us-west-2c" = "subnet-c" }
  security_groups  = ["sg-00000001"]
  instance_profile = "lab-us-west-2-node"
}

run "one_type_on_demand" {
  assert {
    condition     = aws_autoscaling_group.this["all"].launch_template[0].version == "7"
    error_message = "The version of the template is its number."
  }

  assert {
    condition     = length(aws_autoscaling_group.this["all"].mixed_instances_policy) == 0
    error_message = "One type bought one way needs no mixed-instances policy."
  }

  assert {
    condition     = aws_autoscaling_group.this["all"].desired_capacity == 1 && !aws_autoscaling_group.this["all"].protect_from_scale_in
    error_message = "Without desired and autoscaler, the pool has its least size."
  }

  assert {
    condition     = length(aws_autoscaling_group.this["all"].vpc_zone_identifier) == 3
    error_message = "All zones are used."
  }

  assert {
    condition     = aws_launch_template.this.metadata_options[0].http_tokens == "required"
    error_message = "IMDSv2 is required."
  }

  assert {
    condition     = aws_launch_template.this.metadata_options[0].http_put_response_hop_limit == 2
    error_message = "A container on a machine may ask for its identity."
  }
}

run "not_for_pods" {
  variables {
    metadata_hops = 1
  }

  assert {
    condition     = aws_launch_template.this.metadata_options[0].http_put_response_hop_limit == 1
    error_message = "The machine alone has its credentials."
  }
}

run "spot_of_several_types" {
  variables {
    instance_types = ["p3.16xlarge", "p3.8xlarge"]
    capacity       = { kind = "spot", reservation = null, on_demand_base = 2 }
  }

  assert {
    condition = [
      for override in aws_autoscaling_group.this["all"].mixed_instances_policy[0].launch_template[0].override : override.instance_type
    ] == ["p3.16xlarge", "p3.8xlarge"]
    error_message = "The order of the types is kept."
  }

  assert {
    condition = [
      for policy in aws_autoscaling_group.this["all"].mixed_instances_policy[0].instances_distribution :
      [policy.on_demand_base_capacity, policy.on_demand_percentage_above_base_capacity]
    ] == [[2, 0]]
    error_message = "Two are bought on demand, the others are spot."
  }

  assert {
    condition     = aws_autoscaling_group.this["all"].capacity_rebalance
    error_message = "Spot machines are replaced before they are taken away."
  }
}

run "an_autoscaler_chooses_type_and_zone" {
  variables {
    instance_types = ["p3.16xlarge", "p3.8xlarge"]
    capacity       = { kind = "spot", reservation = null, on_demand_base = 2 }
    autoscaled     = true
    size           = { min = 1, desired = 3, max = 4 }
    zone           = null
    resources      = { "p3.8xlarge" = { "nvidia.com/gpu" = "4" }, "p3.16xlarge" = { "nvidia.com/gpu" = "8" } }
  }

  assert {
    condition     = length(aws_autoscaling_group.this) == 6
    error_message = "A group for each type and zone."
  }

  assert {
    condition = {
      for key, group in aws_autoscaling_group.this : key => [
        group.min_size,
        group.max_size,
        group.mixed_instances_policy[0].instances_distribution[0].on_demand_base_capacity,
      ] if startswith(key, "p3.16xlarge.")
      } == {
      "p3.16xlarge.us-west-2a" = [1, 4, 2]
      "p3.16xlarge.us-west-2b" = [0, 4, 0]
      "p3.16xlarge.us-west-2c" = [0, 4, 0]
    }
    error_message = "The first has the least size and the machines on demand; each may have them all."
  }

  assert {
    condition = [
      for override in aws_autoscaling_group.this["p3.8xlarge.us-west-2c"].mixed_instances_policy[0].launch_template[0].override : override.instance_type
    ] == ["p3.8xlarge"]
    error_message = "One type."
  }

  assert {
    condition     = aws_autoscaling_group.this["p3.8xlarge.us-west-2c"].vpc_zone_identifier == toset(["subnet-c"])
    error_message = "One zone."
  }

  assert {
    condition = alltrue([
      for group in aws_autoscaling_group.this : group.protect_from_scale_in && contains(group.suspended_processes, "AZRebalance")
    ])
    error_message = "The autoscaler alone ends machines."
  }

  assert {
    condition = {
      for tag in aws_autoscaling_group.this["p3.8xlarge.us-west-2a"].tag : tag.key => tag.value
      if contains(["infra:pool-max", "infra:address", "k8s.io/cluster-autoscaler/node-template/resources/nvidia.com/gpu"], tag.key)
      } == {
      "infra:pool-max"                                                   = "4"
      "infra:address"                                                    = "module.pool_gpu.aws_autoscaling_group.this/p3.8xlarge.us-west-2a"
      "k8s.io/cluster-autoscaler/node-template/resources/nvidia.com/gpu" = "4"
    }
    error_message = "Each says what its machines are, and how many the pool may have."
  }
}

run "scale_from_zero" {
  variables {
    autoscaled = true
    zone       = "us-west-2a"
    labels     = { "lab/queue" = "batch" }
    taints     = { "gpu" = "yes:NoSchedule" }
    resources  = { "p5.48xlarge" = { "nvidia.com/gpu" = "8" } }
  }

  assert {
    condition = {
      for tag in aws_autoscaling_group.this["p5.48xlarge.us-west-2a"].tag : tag.key => tag.value if startswith(tag.key, "k8s.io/")
      } == {
      "k8s.io/cluster-autoscaler/enabled"                                = "true"
      "k8s.io/cluster-autoscaler/lab"                                    = "owned"
      "k8s.io/cluster-autoscaler/node-template/label/lab/queue"          = "batch"
      "k8s.io/cluster-autoscaler/node-template/taint/gpu"                = "yes:NoSchedule"
      "k8s.io/cluster-autoscaler/node-template/resources/nvidia.com/gpu" = "8"
    }
    error_message = "An autoscaler must know what the machines would be."
  }

  assert {
    condition = !anytrue([
      for tag in aws_autoscaling_group.this["p5.48xlarge.us-west-2a"].tag : tag.propagate_at_launch if tag.key == "infra:address"
    ])
    error_message = "A machine is not the group: it must not carry its address."
  }
}

run "cluster_placement_where_the_type_is_offered" {
  variables {
    placement = "cluster"
  }

  override_data {
    target = data.aws_ec2_instance_type_offerings.zone["us-west-2b"]
    values = { instance_types = ["p5.48xlarge"] }
  }

  assert {
    condition     = aws_autoscaling_group.this["all"].vpc_zone_identifier == toset(["subnet-b"])
    error_message = "A cluster placement group lies in one zone, that has the type."
  }

  assert {
    condition     = aws_autoscaling_group.this["all"].placement_group == "lab-gpu.cluster"
    error_message = "The group is placed."
  }

  assert {
    condition     = aws_autoscaling_group.this["all"].name == "lab-gpu.cluster"
    error_message = "Another placement replaces the group."
  }
}

run "cluster_placement_where_nothing_is_known" {
  variables {
    placement = "cluster"
  }

  assert {
    condition     = aws_autoscaling_group.this["all"].vpc_zone_identifier == toset(["subnet-a"])
    error_message = "Without offers, the first zone."
  }
}

run "the_zone_that_is_named" {
  variables {
    placement = "cluster"
    zone      = "us-west-2c"
  }

  assert {
    condition     = aws_autoscaling_group.this["all"].vpc_zone_identifier == toset(["subnet-c"])
    error_message = "The zone that is named is the only one, whatever is offered in others."
  }

  assert {
    condition     = length(data.aws_ec2_instance_type_offerings.zone) == 0
    error_message = "Nobody asks for offers when the zone is named."
  }
}

run "a_zone_without_subnet" {
  command = plan

  variables {
    zone = "us-west-2d"
  }

  expect_failures = [aws_launch_template.this]
}

run "reservation" {
  variables {
    capacity = { kind = "reservation", reservation = "cr-0123456789abcdef0", on_demand_base = 0 }
  }

  assert {
    condition = one(
      aws_launch_template.this.capacity_reservation_specification[0].capacity_reservation_target
    ).capacity_reservation_id == "cr-0123456789abcdef0"
    error_message = "The template targets the reservation."
  }
}

run "reservation_of_two_types" {
  command = plan

  variables {
    instance_types = ["p5.48xlarge", "p4d.24xlarge"]
    capacity       = { kind = "reservation", reservation = "cr-0123456789abcdef0", on_demand_base = 0 }
  }

  expect_failures = [aws_launch_template.this]
}

run "no_subnet" {
  command = plan

  variables {
    subnets = {}
  }

  expect_failures = [aws_launch_template.this]
}
