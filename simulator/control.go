package simulator

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"
)

// Status is the plant at a glance.
type Status struct {
	Seed      uint64          `json:"seed"`
	Speed     float64         `json:"speed"`
	Anchor    time.Time       `json:"anchor"`
	Start     time.Time       `json:"start"`
	Now       time.Time       `json:"now"`
	Endpoints []Endpoint      `json:"endpoints"`
	Machines  []MachineStatus `json:"machines"`
}

// MachineStatus is a machine as its process has it, whatever is served.
type MachineStatus struct {
	Machine string    `json:"machine"`
	State   int64     `json:"state"`
	Class   Class     `json:"class"`
	Since   time.Time `json:"since"`
	Fault   int64     `json:"fault"`
	Product string    `json:"product"`
	Good    int64     `json:"good"` // pieces since the anchor
	Reject  int64     `json:"reject"`
	Stalled string    `json:"stalled,omitempty"`
}

// Status gives the plant as of now.
func (p *Plant) Status() Status {
	st := Status{Seed: p.cfg.Seed, Speed: p.cfg.Speed, Anchor: p.cfg.Anchor, Endpoints: p.Endpoints()}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sync()
	st.Start, st.Now = p.start, p.wall(p.model.now)
	for _, s := range p.model.stations {
		c := s.cells[slotState]
		st.Machines = append(st.Machines, MachineStatus{
			Machine: s.id, State: c.n, Class: classOf(c.n), Since: p.wall(c.at), Fault: s.cells[slotFault].n,
			Product: productPlans()[s.product].ID, Good: s.stats.good, Reject: s.stats.reject, Stalled: p.machines[s.id].mode,
		})
	}
	return st
}

// order is the body of a request to the control handler; each path takes its
// part of it.
type order struct {
	Machine string        `json:"machine"`
	Signal  string        `json:"signal"`
	Value   any           `json:"value"`
	Mode    string        `json:"mode"`
	Fault   int64         `json:"fault"`
	Seconds float64       `json:"seconds"`
	at      time.Time     // when it took effect
	length  time.Duration // of Seconds
}

// Control is an HTTP handler that forces things, for tests and for shows. It
// asks nobody who they are: mount it on loopback only.
func (p *Plant) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, p.Status()) })
	mux.HandleFunc("GET /describe", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, p.Describe()) })
	mux.HandleFunc("GET /ledger", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := p.WriteLedger(w); err != nil {
			p.cfg.Log.Warn("ledger not sent", "error", err)
		}
	})
	for path, do := range map[string]func(*order) error{
		"/set": func(o *order) (err error) { o.at, err = p.Set(o.Machine, o.Signal, o.Value); return err },
		"/jam": func(o *order) (err error) { o.at, err = p.Jam(o.Machine, o.Fault, o.length); return err },
		"/stall": func(o *order) error {
			if o.Mode == "" {
				o.Mode = Silent
			}
			return p.Stall(o.Machine, o.Mode)
		},
		"/resume":  func(o *order) error { return p.Resume(o.Machine) },
		"/restart": func(*order) error { return p.RestartOPCUA() },
	} {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) { obey(w, r, do) })
	}
	return mux
}

func obey(w http.ResponseWriter, r *http.Request, do func(*order) error) {
	var o order
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
	body.DisallowUnknownFields()
	if err := body.Decode(&o); err != nil && !errors.Is(err, io.EOF) {
		answer(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	o.length = time.Duration(o.Seconds * float64(time.Second))
	if err := do(&o); err != nil {
		answer(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	if o.at.IsZero() {
		o.at = time.Now()
	}
	answer(w, http.StatusOK, map[string]time.Time{"at": o.at})
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(body) // the client is gone if this fails
}
