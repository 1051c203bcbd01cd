package configs

import (
	"strings"
	"testing"
)

// TestRightRole: a role that is given another role's file says so.
func TestRightRole(t *testing.T) {
	if _, err := LoadGateway("twin.yaml"); err == nil || !strings.Contains(err.Error(), "run: linetwin twin twin.yaml") {
		t.Errorf("a twin's file for a gateway: %v", err)
	}
	if _, err := LoadTwin("gateway.yaml"); err == nil || !strings.Contains(err.Error(), "run: linetwin gateway gateway.yaml") {
		t.Errorf("a gateway's file for a twin: %v", err)
	}
}
