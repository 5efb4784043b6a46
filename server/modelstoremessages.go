package server

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/scry-ml/scry/modelstore"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
)

// page is the part of a list that a request asks for.
func page(req interface {
	GetPageSize() int32
	GetPageToken() string
}) modelstore.Page {
	return modelstore.Page{Size: int(req.GetPageSize()), Token: req.GetPageToken()}
}

func messages[T, M any](all []T, message func(T) M) []M {
	list := make([]M, len(all))
	for i, one := range all {
		list[i] = message(one)
	}
	return list
}

func uploadMessage(u modelstore.Upload) *modelstorev1.Upload {
	return &modelstorev1.Upload{
		UploadId: u.ID, Model: u.Model, ExpireTime: timestamppb.New(u.ExpiresAt), Version: u.Version,
		Files: messages(u.Files, func(f modelstore.FileProgress) *modelstorev1.FileProgress {
			return &modelstorev1.FileProgress{File: fileMessage(f.File), Offset: f.Offset}
		}),
	}
}

func fileMessage(f modelstore.File) *modelstorev1.File {
	return &modelstorev1.File{Path: f.Path, Sha256: f.SHA256, Size: f.Size}
}

func modelMessage(m modelstore.Model) *modelstorev1.Model {
	message := &modelstorev1.Model{
		Name: m.Name, Description: m.Description, Labels: m.Labels, Etag: m.Etag, LatestVersion: m.LatestVersion,
		CreateTime: timestamppb.New(m.CreatedAt), UpdateTime: timestamppb.New(m.UpdatedAt),
	}
	if m.Route.Revision != 0 {
		message.Route = routeMessage(m.Route)
	}
	return message
}

// versionMessage leaves the manifest out where the store did.
func versionMessage(v modelstore.Version) (*modelstorev1.Version, error) {
	message := &modelstorev1.Version{
		Model: v.Model, Version: v.Number, Digest: v.Digest, Files: messages(v.Files, fileMessage), SizeBytes: v.Size,
		CreateTime: timestamppb.New(v.CreatedAt), CreatedBy: v.CreatedBy, Aliases: v.Aliases, Routed: v.Routed,
		Verification: &modelstorev1.Verification{
			Samples: int32(v.Verification.Samples), MaxDifference: v.Verification.MaxDifference,
			Output: v.Verification.Output, Precision: v.Verification.Precision,
		},
	}
	if len(v.Manifest) > 0 {
		message.Manifest = &bundlev1.Manifest{}
		if err := proto.Unmarshal(v.Manifest, message.Manifest); err != nil {
			return nil, fmt.Errorf("manifest of model %s version %d: %w", v.Model, v.Number, err)
		}
	}
	return message, nil
}

func routeMessage(r modelstore.Route) *modelstorev1.Route {
	return &modelstorev1.Route{
		Model: r.Model, Revision: r.Revision, Etag: r.Etag, RolledBackTo: r.RolledBackTo,
		CreateTime: timestamppb.New(r.CreatedAt), CreatedBy: r.CreatedBy,
		Entries: messages(r.Entries, func(e modelstore.RouteEntry) *modelstorev1.RouteEntry {
			return &modelstorev1.RouteEntry{Version: e.Version, Weight: int32(e.Weight)}
		}),
	}
}

func aliasMessage(a modelstore.Alias) *modelstorev1.Alias {
	return &modelstorev1.Alias{Model: a.Model, Alias: a.Name, Version: a.Version, Etag: a.Etag, UpdateTime: timestamppb.New(a.UpdatedAt)}
}
