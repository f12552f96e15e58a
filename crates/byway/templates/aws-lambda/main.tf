# Byway relay on AWS Lambda, called over a function URL that asks for a signature by IAM.

terraform {
  required_version = ">= 1.5"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.29"
    }
  }
}

variable "region" {
  description = "Region of the relay."
  type        = string
  default     = "{{region}}"
}

variable "name" {
  description = "Name of the relay, as in relay.toml."
  type        = string
  default     = "{{name}}"

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{0,39}$", var.name))
    error_message = "1 to 40 lower-case letters, digits and hyphens."
  }
}

variable "fixed_address" {
  description = "Whether everything goes through a NAT gateway with an Elastic IP, which costs money every hour."
  type        = bool
  default     = true
}

variable "streaming" {
  description = "Whether answers are passed on as they come (up to 200 MB), or collected first (up to 6 MB)."
  type        = bool
  default     = true
}

variable "caller_arn" {
  description = "IAM user or role that may call the relay. Empty for this account, whose own IAM policies then decide."
  type        = string
  default     = ""
}

variable "extra_ports" {
  description = "TCP ports that relay.toml lists besides 443 and 80; of use only with a fixed address."
  type        = set(number)
  default     = []
}

variable "memory_size" {
  description = "Memory of the function in MB."
  type        = number
  default     = 256
}

variable "timeout" {
  description = "Seconds after which AWS ends a call."
  type        = number
  default     = 120
}

variable "reserved_concurrency" {
  description = "How many calls may run at once; -1 for no limit of its own, 0 switches the relay off."
  type        = number
  default     = -1
}

provider "aws" {
  region = var.region
}

data "aws_caller_identity" "this" {}

data "aws_partition" "this" {}

data "aws_availability_zones" "this" {
  state = "available"

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

locals {
  full_name = "byway-relay-${var.name}"
  n_fixed   = var.fixed_address ? 1 : 0
  zip       = "${path.module}/relay.zip"
  network_actions = [
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
  ]
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/aws/lambda/${local.full_name}"
  retention_in_days = 14
}

resource "aws_iam_role" "this" {
  name_prefix = "byway-relay-"
  description = "Byway relay ${var.name}"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "log" {
  name = "log"
  role = aws_iam_role.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = "${aws_cloudwatch_log_group.this.arn}:*"
    }]
  })
}

# What Lambda itself needs to place the function in the VPC; the code of the function needs none of it.
resource "aws_iam_role_policy" "network" {
  count = local.n_fixed

  name = "network"
  role = aws_iam_role.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = local.network_actions
        Resource = "*"
      },
      {
        Effect   = "Deny"
        Action   = local.network_actions
        Resource = "*"
        Condition = {
          ArnEquals = {
            "lambda:SourceFunctionArn" = "arn:${data.aws_partition.this.partition}:lambda:${var.region}:${data.aws_caller_identity.this.account_id}:function:${local.full_name}"
          }
        }
      },
    ]
  })
}

resource "aws_lambda_function" "this" {
  function_name                  = local.full_name
  description                    = "Sends requests that a Byway gateway signed to the destinations in its relay.toml."
  role                           = aws_iam_role.this.arn
  runtime                        = "provided.al2023"
  handler                        = "bootstrap"
  architectures                  = ["x86_64"]
  filename                       = local.zip
  source_code_hash               = filebase64sha256(local.zip)
  memory_size                    = var.memory_size
  timeout                        = var.timeout
  reserved_concurrent_executions = var.reserved_concurrency

  environment {
    variables = merge(
      { BYWAY_RELAY_STREAMING = tostring(var.streaming) },
      var.fixed_address ? { BYWAY_RELAY_EXIT = aws_eip.this[0].public_ip } : {},
    )
  }

  logging_config {
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.this.name
  }

  dynamic "vpc_config" {
    for_each = aws_subnet.private

    content {
      subnet_ids         = [vpc_config.value.id]
      security_group_ids = [aws_security_group.this[0].id]
    }
  }

  depends_on = [
    aws_iam_role_policy.log,
    aws_iam_role_policy.network,
  ]
}

# Never NONE: then the signature inside a call would be the only lock.
resource "aws_lambda_function_url" "this" {
  function_name      = aws_lambda_function.this.function_name
  authorization_type = "AWS_IAM"
  invoke_mode        = var.streaming ? "RESPONSE_STREAM" : "BUFFERED"
}

# Callers of a function URL need both permissions.
resource "aws_lambda_permission" "url" {
  function_name          = aws_lambda_function.this.function_name
  action                 = "lambda:InvokeFunctionUrl"
  function_url_auth_type = "AWS_IAM"
  principal              = var.caller_arn == "" ? data.aws_caller_identity.this.account_id : var.caller_arn
}

resource "aws_lambda_permission" "invoke" {
  function_name            = aws_lambda_function.this.function_name
  action                   = "lambda:InvokeFunction"
  invoked_via_function_url = true
  principal                = var.caller_arn == "" ? data.aws_caller_identity.this.account_id : var.caller_arn
}

# The fixed address: everything below exists only with fixed_address = true.

resource "aws_vpc" "this" {
  count = local.n_fixed

  cidr_block           = "10.88.0.0/24"
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = { Name = local.full_name }
}

resource "aws_internet_gateway" "this" {
  count = local.n_fixed

  vpc_id = aws_vpc.this[0].id
  tags   = { Name = local.full_name }
}

# The NAT gateway stands here.
resource "aws_subnet" "public" {
  count = local.n_fixed

  vpc_id            = aws_vpc.this[0].id
  cidr_block        = "10.88.0.0/26"
  availability_zone = data.aws_availability_zones.this.names[0]
  tags              = { Name = "${local.full_name}-public" }
}

# The function stands here; a function in the public subnet would have no way out.
resource "aws_subnet" "private" {
  count = local.n_fixed

  vpc_id            = aws_vpc.this[0].id
  cidr_block        = "10.88.0.64/26"
  availability_zone = data.aws_availability_zones.this.names[0]
  tags              = { Name = "${local.full_name}-private" }
}

resource "aws_eip" "this" {
  count = local.n_fixed

  domain = "vpc"
  tags   = { Name = local.full_name }

  depends_on = [aws_internet_gateway.this]
}

resource "aws_nat_gateway" "this" {
  count = local.n_fixed

  allocation_id = aws_eip.this[0].id
  subnet_id     = aws_subnet.public[0].id
  tags          = { Name = local.full_name }

  depends_on = [aws_route.public]
}

resource "aws_route_table" "public" {
  count = local.n_fixed

  vpc_id = aws_vpc.this[0].id
  tags   = { Name = "${local.full_name}-public" }
}

resource "aws_route" "public" {
  count = local.n_fixed

  route_table_id         = aws_route_table.public[0].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this[0].id
}

resource "aws_route_table_association" "public" {
  count = local.n_fixed

  subnet_id      = aws_subnet.public[0].id
  route_table_id = aws_route_table.public[0].id
}

resource "aws_route_table" "private" {
  count = local.n_fixed

  vpc_id = aws_vpc.this[0].id
  tags   = { Name = "${local.full_name}-private" }
}

resource "aws_route" "private" {
  count = local.n_fixed

  route_table_id         = aws_route_table.private[0].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this[0].id
}

resource "aws_route_table_association" "private" {
  count = local.n_fixed

  subnet_id      = aws_subnet.private[0].id
  route_table_id = aws_route_table.private[0].id
}

# The function waits for the group, and so for the way out. When everything is removed the group goes
# before the role: Lambda needs the role to give its network interfaces back, and the group can go
# only when they are gone.
resource "aws_security_group" "this" {
  count = local.n_fixed

  name_prefix = "byway-relay-"
  description = "Byway relay ${var.name}, outgoing only"
  vpc_id      = aws_vpc.this[0].id
  tags        = { Name = local.full_name }

  depends_on = [
    aws_iam_role_policy.network,
    aws_route.private,
    aws_route_table_association.private,
    aws_route_table_association.public,
  ]
}

resource "aws_vpc_security_group_egress_rule" "tcp" {
  for_each = toset([for port in setunion([443, 80, 53], var.extra_ports) : tostring(port) if var.fixed_address])

  security_group_id = aws_security_group.this[0].id
  ip_protocol       = "tcp"
  from_port         = each.value
  to_port           = each.value
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_vpc_security_group_egress_rule" "dns" {
  count = local.n_fixed

  security_group_id = aws_security_group.this[0].id
  ip_protocol       = "udp"
  from_port         = 53
  to_port           = 53
  cidr_ipv4         = "0.0.0.0/0"
}

output "url" {
  description = "Where the gateway calls the relay."
  value       = aws_lambda_function_url.this.function_url
}

output "exit_address" {
  description = "The address that providers see; none if it is not fixed."
  value       = one(aws_eip.this[*].public_ip)
}

output "function_name" {
  description = "Name of the function."
  value       = aws_lambda_function.this.function_name
}

output "region" {
  description = "Region of the relay, which the signature of a call names."
  value       = var.region
}
