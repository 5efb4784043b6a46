package server

import (
	"fmt"

	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// codec is gRPC's codec of protobuf with buffers of more sizes. gRPC's own pool
// has one of 1 MiB for all that is larger than 32 KiB, and clears all of it for
// every message: for a table of a thousand rows that took half as long as
// decoding it.
type codec struct{ pool mem.BufferPool }

var _ encoding.CodecV2 = codec{}

// newCodec pools buffers of 1 KiB to 64 MiB, each twice as large as the one
// before; what is larger is not pooled by size.
func newCodec() (codec, error) {
	var sizes []uint8
	for exponent := uint8(10); exponent <= 26; exponent++ {
		sizes = append(sizes, exponent)
	}
	pool, err := mem.NewBinaryTieredBufferPool(sizes...)
	return codec{pool}, err
}

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no message", v)
	}
	size := proto.Size(m)
	options := proto.MarshalOptions{UseCachedSize: true}
	if mem.IsBelowBufferPoolingThreshold(size) {
		data, err := options.Marshal(m)
		return mem.BufferSlice{mem.SliceBuffer(data)}, err
	}
	buf := c.pool.Get(size)
	if _, err := options.MarshalAppend((*buf)[:0], m); err != nil {
		c.pool.Put(buf)
		return nil, err
	}
	return mem.BufferSlice{mem.NewBuffer(buf, c.pool)}, nil
}

// Unmarshal keeps what was received for requests.decode. Other messages are those
// of gRPC's own services.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	if r, ok := v.(*received); ok {
		data.Ref()
		r.data = data
		return nil
	}
	return c.decode(data, v)
}

func (c codec) decode(data mem.BufferSlice, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no message", v)
	}
	buf := data.MaterializeToBuffer(c.pool)
	defer buf.Free()
	return proto.Unmarshal(buf.ReadOnlyData(), m)
}

func (codec) Name() string { return grpcproto.Name }
