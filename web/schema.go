package web

import (
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"linetwin/plant"
)

// timeSchema and valueSchema stand in the OpenAPI document for types of plant
// that write their own JSON.
type (
	timeSchema  struct{}
	valueSchema struct{}
	classSchema struct{}
	rawSchema   struct{}
)

// Schema tells that a plant.RawJSON is any JSON value.
func (rawSchema) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Description: "a value of the entry's kind; null for nothing any more"}
}

// Schema tells that a plant.Time is an RFC 3339 string in UTC, or null.
func (timeSchema) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time", Nullable: true, Description: "RFC 3339, UTC, milliseconds; null for never"}
}

// Schema tells that a plant.Value is a number, boolean or string, or null.
func (valueSchema) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Description: "number, boolean or string; null for no value"}
}

// Schema lists the time classes.
func (classSchema) Schema(huma.Registry) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString, Description: "time class: what the machine's state means for OEE"}
	for c := plant.ClassUnknown; c <= plant.ClassNotScheduled; c++ {
		s.Enum = append(s.Enum, c.String())
	}
	return s
}

// newRegistry gives a registry that knows how plant's types are written.
func newRegistry() huma.Registry {
	r := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	r.RegisterTypeAlias(reflect.TypeFor[plant.Time](), reflect.TypeFor[timeSchema]())
	r.RegisterTypeAlias(reflect.TypeFor[plant.Value](), reflect.TypeFor[valueSchema]())
	r.RegisterTypeAlias(reflect.TypeFor[plant.Class](), reflect.TypeFor[classSchema]())
	r.RegisterTypeAlias(reflect.TypeFor[plant.RawJSON](), reflect.TypeFor[rawSchema]())
	return r
}
