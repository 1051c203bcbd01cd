package opcua

import (
	"testing"

	"github.com/gopcua/opcua/ua"
)

func TestLeftovers(t *testing.T) {
	var none *leftovers
	none.add(remains{})
	if none.take() != nil {
		t.Error("none keeps something")
	}
	var l leftovers
	for i := range mostLeft + 3 {
		l.add(remains{token: ua.NewTwoByteNodeID(byte(i))})
	}
	all := l.take()
	if len(all) != mostLeft || all[0].token.IntID() != 3 || len(l.take()) != 0 {
		t.Errorf("%d are left, from %v", len(all), all[0].token)
	}
}
