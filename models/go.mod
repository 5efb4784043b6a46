// A module of its own, so that importing the client downloads no models.
module github.com/scry-ml/scry/models

go 1.26.0
