package client

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
)

// maxExact is the largest whole number that a Struct, whose numbers are doubles,
// holds without loss.
const maxExact = 1 << 53

// Instance makes a row of Go values: see Features.
func Instance(id string, features map[string]any) (*scoringv1.Instance, error) {
	s, err := Features(features)
	if err != nil {
		return nil, err
	}
	return &scoringv1.Instance{Id: id, Features: s}, nil
}

// Features makes a row's values of Go values: booleans, strings, numbers of any
// type, json.Number, time.Time (sent as RFC 3339 in UTC), nil for a missing
// value, pointers to any of these (nil = missing), and for sequences slices of
// maps with string keys. A value that a Struct cannot hold
// exactly, such as NaN or a whole number beyond 2^53, is an error that names the
// feature; a Table holds those.
func Features(values map[string]any) (*structpb.Struct, error) {
	s := &structpb.Struct{Fields: make(map[string]*structpb.Value, len(values))}
	for name, v := range values {
		value, err := featureValue(v)
		if err != nil {
			return nil, fmt.Errorf("client: feature %q: %w", name, err)
		}
		s.Fields[name] = value
	}
	return s, nil
}

func featureValue(v any) (*structpb.Value, error) {
	switch v := v.(type) {
	case nil:
		return structpb.NewNullValue(), nil
	case *structpb.Value:
		return v, nil
	case time.Time:
		return structpb.NewStringValue(v.UTC().Format(time.RFC3339Nano)), nil
	case json.Number:
		f, err := v.Float64()
		if err != nil {
			return nil, fmt.Errorf("%q is not a number", v.String())
		}
		if i, err := v.Int64(); err == nil {
			return wholeNumber(float64(i), i > maxExact || i < -maxExact)
		}
		return number(f)
	}
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Bool:
		return structpb.NewBoolValue(r.Bool()), nil
	case reflect.String:
		return structpb.NewStringValue(r.String()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return wholeNumber(float64(r.Int()), r.Int() > maxExact || r.Int() < -maxExact)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return wholeNumber(float64(r.Uint()), r.Uint() > maxExact)
	case reflect.Float32, reflect.Float64:
		return number(r.Float())
	case reflect.Pointer:
		if r.IsNil() {
			return structpb.NewNullValue(), nil
		}
		return featureValue(r.Elem().Interface())
	case reflect.Slice, reflect.Array:
		list := &structpb.ListValue{Values: make([]*structpb.Value, r.Len())}
		for i := range r.Len() {
			value, err := featureValue(r.Index(i).Interface())
			if err != nil {
				return nil, fmt.Errorf("[%d]: %w", i, err)
			}
			list.Values[i] = value
		}
		return structpb.NewListValue(list), nil
	case reflect.Map:
		if r.Type().Key().Kind() != reflect.String {
			break
		}
		s := &structpb.Struct{Fields: make(map[string]*structpb.Value, r.Len())}
		for entry := r.MapRange(); entry.Next(); {
			value, err := featureValue(entry.Value().Interface())
			if err != nil {
				return nil, fmt.Errorf("%q: %w", entry.Key().String(), err)
			}
			s.Fields[entry.Key().String()] = value
		}
		return structpb.NewStructValue(s), nil
	}
	return nil, fmt.Errorf("a %T cannot be sent", v)
}

func wholeNumber(f float64, inexact bool) (*structpb.Value, error) {
	if inexact {
		return nil, fmt.Errorf("%.0f is beyond 2^53, where a double is not exact", f)
	}
	return structpb.NewNumberValue(f), nil
}

func number(f float64) (*structpb.Value, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, fmt.Errorf("%v cannot be sent as a JSON number", f)
	}
	return structpb.NewNumberValue(f), nil
}
