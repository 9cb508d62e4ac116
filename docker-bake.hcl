# All images of the plane: docker buildx bake
#   REPOSITORY=registry.example.com/memplane TAG=0.1.0 docker buildx bake --push
variable "REPOSITORY" {
  default = "memplane"
}

variable "TAG" {
  default = "0.1.0"
}

group "default" {
  targets = ["event-ingest", "materializer", "crdt-sync", "vector-index", "standalone"]
}

target "common" {
  context   = "."
  platforms = ["linux/amd64", "linux/arm64"]
  # What was built from what; the list of packages is in the image, made by npm.
  attest = ["type=provenance,mode=max"]
  labels = {
    "org.opencontainers.image.title"    = "Memplane"
    "org.opencontainers.image.licenses" = "Apache-2.0"
    "org.opencontainers.image.version"  = TAG
  }
}

target "event-ingest" {
  inherits   = ["common"]
  dockerfile = "services/event-ingest/Dockerfile"
  tags       = ["${REPOSITORY}/event-ingest:${TAG}"]
}

target "materializer" {
  inherits   = ["common"]
  dockerfile = "services/materializer/Dockerfile"
  tags       = ["${REPOSITORY}/materializer:${TAG}"]
}

target "crdt-sync" {
  inherits   = ["common"]
  dockerfile = "services/crdt-sync/Dockerfile"
  tags       = ["${REPOSITORY}/crdt-sync:${TAG}"]
}

target "vector-index" {
  inherits   = ["common"]
  dockerfile = "services/vector-index/Dockerfile"
  tags       = ["${REPOSITORY}/vector-index:${TAG}"]
}

target "standalone" {
  inherits   = ["common"]
  dockerfile = "packages/standalone/Dockerfile"
  tags       = ["${REPOSITORY}/standalone:${TAG}"]
}
