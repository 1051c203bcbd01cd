package simulator

import (
	"fmt"
	"math"
	"strconv"
)

// Kind is the type of a signal's value.
type Kind uint8

// The kinds of value.
const (
	Integer Kind = iota + 1
	Float
	Text
)

// String gives the kind's name.
func (k Kind) String() string {
	switch k {
	case Integer:
		return "integer"
	case Float:
		return "float"
	case Text:
		return "text"
	}
	return "kind(" + strconv.Itoa(int(k)) + ")"
}

// Value is one typed value of a signal, compared with ==.
type Value struct {
	Kind    Kind
	Integer int64
	Float   float64
	Text    string
}

// Any gives the value as int64, float64 or string.
func (v Value) Any() any {
	switch v.Kind {
	case Float:
		return v.Float
	case Text:
		return v.Text
	}
	return v.Integer
}

// valueOf takes what a caller or JSON gives and makes a value of kind k of it.
func valueOf(k Kind, x any) (Value, error) {
	switch x := x.(type) {
	case int:
		return number(k, float64(x), int64(x))
	case int64:
		return number(k, float64(x), x)
	case uint32:
		return number(k, float64(x), int64(x))
	case float64:
		if k == Integer && (x != math.Trunc(x) || math.Abs(x) > 1<<53) {
			return Value{}, fmt.Errorf("value %v: want a whole number", x)
		}
		return number(k, x, int64(x))
	case string:
		if k == Text {
			return Value{Kind: Text, Text: x}, nil
		}
	}
	return Value{}, fmt.Errorf("value %v (%T): want %s", x, x, k)
}

func number(k Kind, f float64, i int64) (Value, error) {
	switch k {
	case Integer:
		return Value{Kind: Integer, Integer: i}, nil
	case Float:
		return Value{Kind: Float, Float: f}, nil
	}
	return Value{}, fmt.Errorf("value %v: want %s", f, k)
}
