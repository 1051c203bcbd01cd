package configs

import (
	"reflect"
	"slices"
)

// NeedsRestart gives the keys by which other settings differ from those of a
// running gateway, devices apart: what a gateway cannot change while it runs.
// Both have been checked.
func (c *Gateway) NeedsRestart(other *Gateway) []string {
	a, b := *c, *other
	a.Devices, b.Devices = nil, nil
	var keys []string
	differing(reflect.ValueOf(&a).Elem(), reflect.ValueOf(&b).Elem(), "", &keys)
	slices.Sort(keys)
	return keys
}

func differing(a, b reflect.Value, key string, keys *[]string) {
	fieldsA, fieldsB := map[string]reflect.Value{}, map[string]reflect.Value{}
	if a.Kind() == reflect.Struct {
		collect(a, fieldsA)
		collect(b, fieldsB)
	}
	if len(fieldsA) == 0 {
		if !reflect.DeepEqual(a.Interface(), b.Interface()) {
			*keys = append(*keys, key)
		}
		return
	}
	for name, f := range fieldsA {
		differing(f, fieldsB[name], join(key, name), keys)
	}
}
