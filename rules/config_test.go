package rules

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"linetwin/plant"
)

func load(text string) (Config, error) {
	var file struct {
		Rules Config `yaml:"rules"`
	}
	d, err := yaml.NewLoader(strings.NewReader(text), yaml.WithKnownFields())
	if err != nil {
		return Config{}, err
	}
	err = d.Load(&file)
	return file.Rules, err
}

func TestConfigFromYAML(t *testing.T) {
	cfg, err := load(`
rules:
  - {id: oee-low, on: oee, line: mcb-a, below: 0.6, for: 5m, deadband: 0.02, severity: medium, message: {en: OEE is low, zh: OEE 低}}
  - {id: hot, signal: temperature, machine: a-riveting, above: 80, for: 10s, deadband: 2, severity: high}
  - {id: pressure, signal: pressure, below: 4.5}
`)
	if err != nil {
		t.Fatal(err)
	}
	if f := cfg.Check(); len(f) != 0 {
		t.Errorf("faults %v", f)
	}
	l := cfg.Limits
	if len(l) != 3 || *l[0].Below != .6 || l[0].For != 5*time.Minute || l[0].Message.Zh != "OEE 低" || l[1].Machine != "a-riveting" || l[2].Severity != plant.SeverityMedium {
		t.Errorf("%+v", l)
	}
	if _, err := load("rules:\n  - {id: hot, signal: t, above: 1, colour: red}\n"); err == nil || !strings.Contains(err.Error(), "colour") {
		t.Errorf("an unknown key: %v", err)
	}
	text, err := yaml.Marshal(struct {
		Rules Config `yaml:"rules"`
	}{cfg})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := load(string(text)); err != nil || len(again.Limits) != 3 || *again.Limits[1].Above != 80 {
		t.Errorf("%v: %s", err, text)
	}
}

func TestConfigCheck(t *testing.T) {
	one := number(1)
	for _, c := range []struct {
		name  string
		limit Limit
		want  []string
	}{
		{"nothing", Limit{}, []string{"[0].id", "[0].signal", "[0].above"}},
		{"a wrong id", Limit{ID: "a b", Signal: "s", Above: one}, []string{"[0].id"}},
		{"a characteristic's id", Limit{ID: "quality-x", Signal: "s", Above: one}, []string{"[0].id"}},
		{"on something else", Limit{ID: "a", On: "teep", Above: one}, []string{"[0].on"}},
		{"on both", Limit{ID: "a", On: "oee", Signal: "s", Above: one}, []string{"[0].on"}},
		{"oee of a machine", Limit{ID: "a", On: "oee", Machine: "m", Above: one}, []string{"[0].on"}},
		{"no number", Limit{ID: "a", Signal: "s", Above: number(math.NaN())}, []string{"[0].above"}},
		{"negative", Limit{ID: "a", Signal: "s", Above: one, For: -1, Deadband: -1}, []string{"[0].deadband", "[0].for"}},
		{"the wrong way round", Limit{ID: "a", Signal: "s", Above: one, Below: number(2)}, []string{"[0].below"}},
		{"severity", Limit{ID: "a", Signal: "s", Above: one, Severity: "grave"}, []string{"[0].severity"}},
		{"well", Limit{ID: "a", Signal: "s", Above: number(2), Below: one}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := Config{Limits: []Limit{c.limit}}
			var got []string
			for _, f := range cfg.Check() {
				got = append(got, f.Key)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("faults at %v, want %v", got, c.want)
			}
			if _, err := NewEngine(cfg, nil, nil); (err != nil) != (c.want != nil) {
				t.Errorf("engine: %v", err)
			}
		})
	}
	twice := Config{Limits: []Limit{{ID: "a", Signal: "s", Above: one}, {ID: "a", Signal: "t", Above: one}}}
	if f := twice.Check(); len(f) != 1 || f[0].Key != "[1].id" {
		t.Errorf("twice: %v", f)
	}
	if _, err := NewEngine(Config{Limits: []Limit{{ID: "a", Signal: "s", Machine: "x", Above: one}}}, nil, lineOf); err == nil || !strings.Contains(err.Error(), `rules[0].machine: found "x"`) {
		t.Errorf("an unknown machine: %v", err)
	}
}
