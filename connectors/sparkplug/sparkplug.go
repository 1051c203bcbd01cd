// Package sparkplug is the wire between gateways and the twin: Sparkplug B 3.0
// over MQTT 3.1.1, both ends. An Edge is a gateway's end (a Sparkplug edge
// node whose devices are machines and whose metrics are signals); a Host is
// the twin's end (a Sparkplug host application).
//
// Data goes at QoS 0, as the specification demands, and is acknowledged end to
// end all the same: every DDATA carries its batch's number and claim in the
// metrics Delivery/*, and the host answers with what history has stored.
// docs/sparkplug.md describes the metrics for other hosts and edge nodes.
package sparkplug

import "strings"

const namespace = "spBv1.0"

// kind is a Sparkplug message type (Sparkplug B 3.0, 4.1.3).
type kind uint8

const (
	kindOther kind = iota
	kindNBirth
	kindNDeath
	kindDBirth
	kindDDeath
	kindNData
	kindDData
	kindNCmd
	kindDCmd
	kindState
)

var kindNames = [...]string{"other", "NBIRTH", "NDEATH", "DBIRTH", "DDEATH", "NDATA", "DDATA", "NCMD", "DCMD", "STATE"}

func (k kind) String() string { return kindNames[k] }

// device tells whether messages of this kind are about one device and have a
// fifth topic level.
func (k kind) device() bool {
	return k == kindDBirth || k == kindDDeath || k == kindDData || k == kindDCmd
}

// topic is a parsed Sparkplug topic: namespace/area/kind/gateway[/device].
type topic struct {
	kind    kind
	area    string
	gateway string
	device  string
}

func (t topic) String() string {
	s := namespace + "/" + t.area + "/" + t.kind.String() + "/" + t.gateway
	if t.kind.device() {
		s += "/" + t.device
	}
	return s
}

// parseTopic is false for what is no topic of an edge node.
func parseTopic(s string) (topic, bool) {
	rest, ok := strings.CutPrefix(s, namespace+"/")
	if !ok {
		return topic{}, false
	}
	area, rest, ok := strings.Cut(rest, "/")
	if !ok || area == "" {
		return topic{}, false
	}
	name, rest, ok := strings.Cut(rest, "/")
	if !ok {
		return topic{}, false
	}
	t := topic{area: area}
	for k := kindNBirth; k <= kindDCmd; k++ {
		if kindNames[k] == name {
			t.kind = k
		}
	}
	if t.kind == kindOther {
		return topic{}, false
	}
	gateway, device, more := strings.Cut(rest, "/")
	if gateway == "" || more != t.kind.device() || more && (device == "" || strings.Contains(device, "/")) {
		return topic{}, false
	}
	t.gateway, t.device = gateway, device
	return t, true
}

func stateTopic(host string) string { return namespace + "/STATE/" + host }

// The names of the metrics that are not signals. Node Control/ and bdSeq are
// the specification's (5.9, 6.4.19), the others are ours.
const (
	metricBdSeq   = "bdSeq"
	metricRebirth = "Node Control/Rebirth"

	metricSession      = "Delivery/Session"          // NBIRTH, DBIRTH, NCMD: String
	metricInstallation = "Delivery/Installation"     // NBIRTH: String
	metricStart        = "Delivery/Start"            // NBIRTH: UInt64
	metricRival        = "Delivery/Rival"            // NCMD: String, who else has the gateway's name
	metricFirst        = "Delivery/First"            // NBIRTH: UInt64
	metricCertificates = "Delivery/Certificates"     // NBIRTH: UInt32, DBIRTHs and DDEATHs that follow
	metricAcknowledged = "Delivery/Acknowledged"     // NCMD: UInt64
	metricBeyond       = "Delivery/Beyond"           // NCMD: String, "3-5,9"
	metricAsked        = "Delivery/Asked"            // NDATA, NCMD: UInt64
	metricHostTime     = "Delivery/Host Time"        // NCMD: DateTime
	metricEcho         = "Delivery/Echo"             // NDATA, NCMD: UInt64, a question and its answer
	metricCounts       = "Delivery/Counts"           // NDATA: String, JSON of plant.CountReport
	metricCounted      = "Delivery/Counted"          // NCMD: String, "book number"
	metricSequence     = "Delivery/Sequence"         // DBIRTH, DDATA: UInt64
	metricThrough      = "Delivery/Complete Through" // DBIRTH, DDATA: DateTime
	metricFrom         = "Delivery/Complete From"    // DBIRTH, DDATA: DateTime

	metricVersion = "Gateway/Version" // NBIRTH: String
	metricHost    = "Gateway/Host"    // NBIRTH: String
	metricAddress = "Gateway/Address" // NBIRTH: String
	metricStatus  = "Gateway/Status"  // NBIRTH, NDATA: String, JSON of plant.GatewayStatus

	propertyQuality     = "Quality"
	propertyReason      = "Reason"
	propertyUnit        = "engUnit"
	propertyDescription = "description"
	propertyCounter     = "counter" // Int32: bits of a counter that rolls over
)

// reserved tells whether a metric of an edge node or device is no signal.
func reserved(name string) bool {
	return name == metricBdSeq || strings.HasPrefix(name, "Node Control/") || strings.HasPrefix(name, "Device Control/") ||
		strings.HasPrefix(name, "Delivery/")
}
