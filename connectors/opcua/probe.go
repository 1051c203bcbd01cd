package opcua

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/gopcua/opcua/ua"

	"linetwin/plant"
)

// Seen is what Look found of one signal.
type Seen struct {
	Signal     string
	Node       string // of the settings
	Type       string // what the server sends, as settings write it; "" where it sends nothing
	Dimensions []int  // of an array; nil for a single value
	Value      plant.Value
	Quality    plant.Quality
	Reason     string
	Status     string     // the server's, by the standard's name; "" where there was no answer
	Source     plant.Time // the value's time at its source, 0 where the server tells none
	Server     plant.Time // and at the server
	// Hint tells what the settings should say where they do not fit.
	Hint string
}

// Look reads signals once. A signal without a type is read as what it is. The
// error is that of the session; what is wrong with a node stands in its Seen.
func (e *Explorer) Look(ctx context.Context, signals []Signal) ([]Seen, error) {
	all := make([]Seen, len(signals))
	var nodes []*ua.ReadValueID
	var at []int
	for i, s := range signals {
		all[i] = Seen{Signal: s.Name, Node: s.Node}
		n, err := e.find(ctx, s.Node)
		var missing missingError
		if err != nil {
			if ctx.Err() != nil || isPath(s.Node) && !errors.As(err, &missing) {
				return nil, err
			}
			all[i].Quality, all[i].Reason = plant.Bad, err.Error()
			continue
		}
		nodes, at = append(nodes, readValue(n)), append(at, i)
	}
	found, err := e.read(ctx, nodes)
	if err != nil {
		return nil, err
	}
	for k, i := range at {
		all[i].take(signals[i], found[k])
	}
	return all, nil
}

func isPath(node string) bool { return strings.HasPrefix(node, "path:") }

// take fills in what the server says of the signal.
func (s *Seen) take(sig Signal, o outcome) {
	if o.data == nil {
		s.Quality, s.Reason = plant.Bad, o.why
		if o.why == "" {
			s.Reason = "the server sent nothing"
		}
		return
	}
	dv := o.data
	s.Status = statusName(dv.Status)
	s.Source, s.Server = plant.At(dv.SourceTimestamp), plant.At(dv.ServerTimestamp)
	v := dv.Value
	array := v != nil && v.Has(ua.VariantArrayValues)
	if v != nil && v.Type() != ua.TypeIDNull {
		s.Type = typeName(v.Type())
		if array {
			s.Dimensions = dimensions(v)
		}
	}
	if sig.Type == "" {
		s.takeAny(sig, dv)
		return
	}
	d := newDecoder(sig)
	s.Value, s.Quality, s.Reason = d.data(dv)
	if s.Quality != plant.Bad || s.Type == "" || severity(dv.Status) == plant.Bad {
		return
	}
	s.Hint = fit(d, v, s.Dimensions)
}

// takeAny reads the value as the type that it has; an array as a whole.
func (s *Seen) takeAny(sig Signal, dv *ua.DataValue) {
	if s.Dimensions != nil && sig.Index == nil && severity(dv.Status) != plant.Bad {
		s.Value = plant.Text(elements(dv.Value.Value()))
		s.Hint = "an array of " + times(s.Dimensions) + ": with index a signal takes one element"
		return
	}
	sig.Type = s.Type
	if _, ok := typeOf(s.Type); !ok && s.Type != "" && severity(dv.Status) != plant.Bad {
		s.Quality, s.Reason = plant.Bad, "it is "+s.Type+", which no signal can be"
		return
	}
	d := newDecoder(sig)
	s.Value, s.Quality, s.Reason = d.data(dv)
}

// fit says what type and index would fit a value that the settings do not.
func fit(d decoder, v *ua.Variant, dims []int) string {
	if len(dims) > 1 {
		return ""
	}
	var better []string
	if _, ok := typeOf(typeName(v.Type())); !ok {
		return ""
	}
	if v.Type() != d.want.id {
		better = append(better, "type: "+typeName(v.Type()))
	}
	switch {
	case len(dims) == 1 && (d.index < 0 || d.index >= dims[0]) && dims[0] > 0:
		better = append(better, "index: 0 to "+strconv.Itoa(dims[0]-1))
	case len(dims) == 0 && d.index >= 0:
		better = append(better, "no index")
	}
	if len(better) == 0 {
		return ""
	}
	return strings.Join(better, " and ") + " would fit"
}

// dimensions gives an array's, also where the server does not tell them.
func dimensions(v *ua.Variant) []int {
	var dims []int
	for _, n := range v.ArrayDimensions() {
		dims = append(dims, int(n))
	}
	if len(dims) == 0 {
		dims = []int{length(v.Value())}
	}
	return dims
}

func length(array any) int {
	r := reflect.ValueOf(array)
	if r.Kind() != reflect.Slice {
		return 0
	}
	return r.Len()
}

func times(dims []int) string {
	all := make([]string, len(dims))
	for i, n := range dims {
		all[i] = strconv.Itoa(n)
	}
	return strings.Join(all, " x ")
}

// mostShown is how many elements of an array are shown.
const mostShown = 8

// elements shows an array's first elements.
func elements(array any) string {
	var all []string
	n := length(array)
	for i := range min(n, mostShown) {
		x, ok := element(array, i)
		if !ok {
			return fmt.Sprintf("%d elements", n)
		}
		d := decoder{index: -1, scale: 1}
		v, why := d.scalar(x)
		if why != "" {
			all = append(all, why)
			continue
		}
		all = append(all, v.String())
	}
	if n > mostShown {
		all = append(all, "...")
	}
	return "[" + strings.Join(all, " ") + "]"
}
