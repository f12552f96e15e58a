# Byway relay on Google Cloud Run, called with an ID token.

terraform {
  required_version = ">= 1.5"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.0, < 8.0"
    }
  }
}

variable "project" {
  description = "Project of Google Cloud."
  type        = string
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
    condition     = can(regex("^[a-z][a-z0-9-]{0,39}$", var.name))
    error_message = "1 to 40 lower-case letters, digits and hyphens; a letter first."
  }
}

variable "image" {
  description = "Image built from the Dockerfile in this folder, best with its digest."
  type        = string
}

variable "fixed_address" {
  description = "Whether everything goes through Cloud NAT with a static address, which costs money every hour."
  type        = bool
  default     = true
}

variable "callers" {
  description = "Who may call the relay, such as \"serviceAccount:gateway@PROJECT.iam.gserviceaccount.com\"."
  type        = set(string)

  validation {
    condition     = length(setintersection(var.callers, ["allUsers", "allAuthenticatedUsers"])) == 0
    error_message = "A relay is never public: then the signature inside a call would be the only lock."
  }
}

provider "google" {
  project = var.project
  region  = var.region
}

locals {
  full_name = "byway-${var.name}"
  n_fixed   = var.fixed_address ? 1 : 0
}

# An account without any role: the relay needs nothing of the project.
resource "google_service_account" "this" {
  account_id   = substr(local.full_name, 0, 30)
  display_name = "Byway relay ${var.name}"
}

resource "google_cloud_run_v2_service" "this" {
  name                = local.full_name
  location            = var.region
  ingress             = "INGRESS_TRAFFIC_ALL"
  deletion_protection = false

  template {
    service_account                  = google_service_account.this.email
    timeout                          = "300s"
    max_instance_request_concurrency = 80

    scaling {
      min_instance_count = 0
      max_instance_count = 5
    }

    containers {
      image = var.image

      ports {
        container_port = 8080
      }

      resources {
        limits = {
          cpu    = "1"
          memory = "256Mi"
        }
      }

      env {
        name  = "BYWAY_RELAY_EXIT"
        value = var.fixed_address ? google_compute_address.this[0].address : ""
      }
    }

    dynamic "vpc_access" {
      for_each = google_compute_subnetwork.this

      content {
        egress = "ALL_TRAFFIC"

        network_interfaces {
          network    = google_compute_network.this[0].id
          subnetwork = vpc_access.value.id
        }
      }
    }
  }

  depends_on = [google_compute_router_nat.this]
}

resource "google_cloud_run_v2_service_iam_member" "caller" {
  for_each = var.callers

  name     = google_cloud_run_v2_service.this.name
  location = google_cloud_run_v2_service.this.location
  role     = "roles/run.invoker"
  member   = each.value
}

# The fixed address: everything below exists only with fixed_address = true.

resource "google_compute_network" "this" {
  count = local.n_fixed

  name                    = local.full_name
  auto_create_subnetworks = false
}

resource "google_compute_subnetwork" "this" {
  count = local.n_fixed

  name          = local.full_name
  network       = google_compute_network.this[0].id
  region        = var.region
  ip_cidr_range = "10.88.0.0/26"
}

resource "google_compute_address" "this" {
  count = local.n_fixed

  name   = local.full_name
  region = var.region
}

resource "google_compute_router" "this" {
  count = local.n_fixed

  name    = local.full_name
  network = google_compute_network.this[0].id
  region  = var.region
}

resource "google_compute_router_nat" "this" {
  count = local.n_fixed

  name                               = local.full_name
  router                             = google_compute_router.this[0].name
  region                             = var.region
  nat_ip_allocate_option             = "MANUAL_ONLY"
  nat_ips                            = [google_compute_address.this[0].self_link]
  source_subnetwork_ip_ranges_to_nat = "LIST_OF_SUBNETWORKS"

  # Connections of one instance to one provider; the default of 64 is less than 80 calls need.
  min_ports_per_vm = 512

  subnetwork {
    name                    = google_compute_subnetwork.this[0].id
    source_ip_ranges_to_nat = ["ALL_IP_RANGES"]
  }
}

output "url" {
  description = "Where the gateway calls the relay; also the audience of the ID token."
  value       = google_cloud_run_v2_service.this.uri
}

output "exit_address" {
  description = "The address that providers see; none if it is not fixed."
  value       = one(google_compute_address.this[*].address)
}

output "service_name" {
  description = "Name of the service."
  value       = google_cloud_run_v2_service.this.name
}

output "region" {
  description = "Region of the relay."
  value       = var.region
}
