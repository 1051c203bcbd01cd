package opcua

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/gopcua/opcua/ua"

	"linetwin/plant"
)

// candidate is a variable that was met, with the properties that explain it.
type candidate struct {
	*place
	properties map[string]*ua.NodeID
	path       []string
}

// explains tells whether a standard property says what a variable means (Part
// 8, 5.3; Part 3, 5.6), and is thus no variable for its own sake.
func explains(property string) bool {
	switch property {
	case "EngineeringUnits", "EURange", "EnumStrings", "EnumValues", "InstrumentRange", "ValuePrecision", "Definition",
		"TrueState", "FalseState", "ValueAsText", "NodeVersion", "LocalTime", "DataTypeVersion", "AllowNulls",
		"MaxStringLength", "MaxArrayLength", "MaxByteStringLength", "AxisScaleType", "Title", "EnumDictionaryEntries":
		return true
	}
	return false
}

// asked are the attributes that are read of each variable.
var asked = [...]ua.AttributeID{ua.AttributeIDDataType, ua.AttributeIDValueRank, ua.AttributeIDArrayDimensions,
	ua.AttributeIDAccessLevel, ua.AttributeIDUserAccessLevel, ua.AttributeIDDescription}

// visitAll reads what the variables are, and gives those that match to visit,
// up to the limit.
func (w *walker) visitAll(ctx context.Context, all []candidate) error {
	var some []candidate
	for _, c := range all {
		c.path = c.trail.names()
		if w.walk.Match != nil && !w.walk.Match(strings.Join(c.path, "/")) {
			continue
		}
		if w.walk.Limit > 0 && w.walked.Variables+len(some) >= w.walk.Limit {
			w.walked.Cut = true
			break
		}
		some = append(some, c)
	}
	if len(some) == 0 {
		return nil
	}
	variables, err := w.explain(ctx, some)
	if err != nil {
		return err
	}
	for _, v := range variables {
		w.walked.Variables++
		if err := w.visit(v); err != nil {
			return err
		}
	}
	return nil
}

// explain makes variables of candidates.
func (w *walker) explain(ctx context.Context, all []candidate) ([]Variable, error) {
	var nodes []*ua.ReadValueID
	for _, c := range all {
		for _, a := range asked {
			nodes = append(nodes, readAttribute(c.id, a))
		}
	}
	for _, c := range all {
		for _, n := range c.meanings() {
			nodes = append(nodes, readValue(n))
		}
	}
	got, err := w.read(ctx, nodes)
	if err != nil {
		return nil, err
	}
	variables, doubtful := make([]Variable, len(all)), []int(nil)
	meanings := got[len(all)*len(asked):]
	for i, c := range all {
		v := &variables[i]
		*v = Variable{Path: c.path, Node: address(c.id, w.namespaces), Machine: c.machine, Role: c.part.role}
		n := len(c.meanings())
		v.mean(c, meanings[:n])
		meanings = meanings[n:]
		if !writable(v.Node) {
			v.Why = "its node id cannot stand in settings"
			continue
		}
		doubt, err := w.judge(ctx, v, got[i*len(asked):(i+1)*len(asked)])
		if err != nil {
			return nil, err
		}
		if doubt {
			doubtful = append(doubtful, i)
		}
	}
	return variables, w.settle(ctx, all, variables, doubtful)
}

// writable tells whether settings can name a node: its identifier may be empty,
// or no text.
func writable(node string) bool {
	_, err := parseNode(node)
	return err == nil && utf8.ValidString(node)
}

// meanings lists those explaining properties that are read.
func (c *candidate) meanings() []*ua.NodeID {
	var all []*ua.NodeID
	for _, name := range meaningful {
		if n := c.properties[name]; n != nil {
			all = append(all, n)
		}
	}
	return all
}

var meaningful = [...]string{"EngineeringUnits", "EURange", "EnumStrings", "EnumValues"}

// mean takes the explaining properties' values, in the order of meanings.
func (v *Variable) mean(c candidate, values []outcome) {
	k := 0
	for _, name := range meaningful {
		if c.properties[name] == nil {
			continue
		}
		dv := values[k].data
		k++
		if name == "EnumStrings" || name == "EnumValues" {
			v.Enum = enumTexts(dv)
			continue
		}
		o, _ := goodValue(dv).(*ua.ExtensionObject)
		switch x := structure(o).(type) {
		case *ua.EUInformation:
			v.Unit = unitOf(x)
		case *ua.Range:
			if finite(x.Low) && finite(x.High) {
				v.Low, v.High = x.Low, x.High
			}
		}
	}
}

// unitOf gives a unit as people write it: its symbol, else its code of three
// characters (UNECE Rec. 20, packed into a number: Part 8, 5.6.3).
func unitOf(eu *ua.EUInformation) string {
	if eu.DisplayName != nil && eu.DisplayName.Text != "" {
		return eu.DisplayName.Text
	}
	var code []byte
	for shift := 24; shift >= 0; shift -= 8 {
		if b := byte(eu.UnitID >> shift); b > ' ' && b < 0x7F {
			code = append(code, b)
		}
	}
	return string(code)
}

// judge decides from the attributes what a signal's type would be; doubt is
// true where only the value itself can tell.
func (w *walker) judge(ctx context.Context, v *Variable, attributes []outcome) (doubt bool, err error) {
	if d, ok := goodValue(attributes[5].data).(*ua.LocalizedText); ok && d != nil {
		v.Description = d.Text
	}
	typ, _ := goodValue(attributes[0].data).(*ua.NodeID)
	if access, ok := goodValue(attributes[3].data).(uint8); ok && access&byte(ua.AccessLevelTypeCurrentRead) == 0 {
		v.Why = "the server lets nobody read it"
		return false, nil
	}
	if access, ok := goodValue(attributes[4].data).(uint8); ok && access&byte(ua.AccessLevelTypeCurrentRead) == 0 {
		v.Why = "this user may not read it"
		return false, nil
	}
	var number ua.TypeID
	if typ != nil {
		if number, err = w.types.dataType(ctx, typ); err != nil {
			return false, err
		}
	}
	if number == 0 {
		return true, nil
	}
	if v.Type, v.Why = settingsType(number); v.Why != "" && builtin(typ) != number {
		name, err := w.types.name(ctx, typ)
		if err != nil {
			return false, err
		}
		v.Why += " (" + name + ")"
	}
	if number == ua.TypeIDInt32 && builtin(typ) == 0 && v.Enum == nil {
		if v.Enum, err = w.types.enum(ctx, typ); err != nil {
			return false, err
		}
	}
	return v.rank(attributes[1], attributes[2]), nil
}

// rank takes the value's rank (Part 3, 5.6.2); doubt is true where it may be
// an array or not.
func (v *Variable) rank(rank, dims outcome) (doubt bool) {
	r, ok := goodValue(rank.data).(int32)
	lengths, _ := goodValue(dims.data).([]uint32)
	switch {
	case v.Why != "" || ok && r == -1:
	case !ok || r == -2 || r == -3 || r == 0:
		return true
	case r == 1:
		v.Why = "an array of " + v.Type + ": index takes one element"
		if len(lengths) == 1 && lengths[0] > 0 {
			v.Length = int(lengths[0])
		}
	default:
		v.Why = "a matrix of " + v.Type + ", of which no element can be taken"
	}
	return false
}

// settle reads the values of variables whose type they alone can tell.
func (w *walker) settle(ctx context.Context, all []candidate, variables []Variable, doubtful []int) error {
	nodes := make([]*ua.ReadValueID, len(doubtful))
	for k, i := range doubtful {
		nodes[k] = readValue(all[i].id)
	}
	got, err := w.read(ctx, nodes)
	if err != nil {
		return err
	}
	for k, i := range doubtful {
		v, dv := &variables[i], got[k].data
		switch {
		case dv == nil:
			v.Type, v.Why = "", got[k].why
		case severity(dv.Status) == plant.Bad:
			v.Type, v.Why = "", "its type is open, and it has no value now: "+statusName(dv.Status)
		case dv.Value == nil || dv.Value.Type() == ua.TypeIDNull:
			v.Type, v.Why = "", "its type is open, and it has no value now"
		default:
			v.settle(dv.Value)
		}
	}
	return nil
}

func (v *Variable) settle(value *ua.Variant) {
	if v.Type, v.Why = settingsType(value.Type()); v.Why != "" || !value.Has(ua.VariantArrayValues) {
		return
	}
	if dims := dimensions(value); len(dims) > 1 {
		v.Why = "a matrix of " + v.Type + ", of which no element can be taken"
		return
	}
	v.Length = length(value.Value())
	v.Why = "an array of " + v.Type + ": index takes one element"
}

// WhyNodeID is why no signal is made of what holds node ids.
const WhyNodeID = "a node id, which no signal can be"

// settingsType gives the name of a built-in type as settings write it, or why
// no signal can be of it.
func settingsType(number ua.TypeID) (name, why string) {
	name = typeName(number)
	if _, ok := typeOf(name); ok {
		return name, ""
	}
	switch number {
	case ua.TypeIDXMLElement:
		name = "an XML element"
	case ua.TypeIDNodeID, ua.TypeIDExpandedNodeID:
		return "", WhyNodeID
	}
	return "", name + ", which no signal can be"
}
