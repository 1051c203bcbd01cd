package deploy_test

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// grafana: what the provisioning takes from the environment is what the compose
// file gives, secrets come from files, and the dashboard is where it is looked for
// and asks the data source that there is. Its queries are tested where they can be
// run, in connectors/influx.
func grafana(t *testing.T, s service) {
	t.Helper()
	var source struct {
		Datasources []struct {
			UID            string            `yaml:"uid"`
			URL            string            `yaml:"url"`
			JSONData       map[string]string `yaml:"jsonData"`
			SecureJSONData map[string]string `yaml:"secureJsonData"`
		} `yaml:"datasources"`
	}
	text := read(t, "grafana/provisioning/datasources/linetwin.yaml")
	if err := yaml.Load([]byte(text), &source); err != nil || len(source.Datasources) != 1 {
		t.Fatal(source, err)
	}
	one := source.Datasources[0]
	if one.URL != "$GF_INFLUX_URL" || one.SecureJSONData["token"] != "$GF_INFLUX_TOKEN" || one.JSONData["version"] != "Flux" {
		t.Errorf("data source %+v", one)
	}
	taken := map[string]bool{}
	for _, m := range regexp.MustCompile(`\$([A-Z_]+)`).FindAllStringSubmatch(strings.ReplaceAll(text, "$NAME", ""), -1) {
		taken[m[1]] = true
		if s.Environment[m[1]] == "" && s.Environment[m[1]+"__FILE"] == "" {
			t.Errorf("grafana: %s is not set", m[1])
		}
		if docs := read(t, "../docs/operations.md"); !strings.Contains(docs, "`"+m[1]+"`") {
			t.Errorf("docs/operations.md does not name %s", m[1])
		}
	}
	for variable, value := range s.Environment {
		if strings.HasPrefix(variable, "GF_INFLUX_") && !taken[strings.TrimSuffix(variable, "__FILE")] {
			t.Errorf("grafana: nothing uses %s", variable)
		}
		secret := strings.Contains(variable, "PASSWORD") || strings.Contains(variable, "TOKEN")
		if file, ok := strings.CutPrefix(value, "/run/secrets/"); secret && (!ok || !strings.Contains(strings.Join(s.Secrets, " "), file)) {
			t.Errorf("grafana: %s is %q and no secret's file", variable, value)
		}
	}
	dashboard := read(t, "grafana/dashboards/linetwin.json")
	var d struct {
		UID    string
		Panels []struct {
			Title      string
			Datasource struct{ UID string }
			Targets    []struct{ Datasource struct{ UID string } }
		}
	}
	if err := json.Unmarshal([]byte(dashboard), &d); err != nil || d.UID == "" || len(d.Panels) == 0 {
		t.Fatal(err, d.UID)
	}
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			if p.Datasource.UID != one.UID || target.Datasource.UID != one.UID {
				t.Errorf("%s asks %s and %s, there is %s", p.Title, p.Datasource.UID, target.Datasource.UID, one.UID)
			}
		}
	}
	home := s.Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
	provider := read(t, "grafana/provisioning/dashboards/linetwin.yaml")
	if filepath.Base(home) != "linetwin.json" || !strings.Contains(provider, "path: "+filepath.Dir(home)+"}") ||
		!strings.Contains(strings.Join(s.Volumes, " "), "./grafana/dashboards:"+filepath.Dir(home)+":ro") {
		t.Errorf("the dashboard is at %s, read from %s", home, provider)
	}
}
