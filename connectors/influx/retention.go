package influx

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	client "github.com/influxdata/influxdb-client-go/v2"
	"github.com/influxdata/influxdb-client-go/v2/domain"

	"linetwin/plant"
)

// CountedFrom gives the time before which the database's retention may have
// dropped what Counts needs; 0: it keeps all, or does not tell us. It may still
// have some of it: it drops a whole shard at a time.
func (h *History) CountedFrom(ctx context.Context, _ string) (plant.Time, error) {
	var longest time.Duration
	for _, bucket := range []string{h.bucket, h.minutes} { // Counts counts in the one or the other
		kept, found, err := h.find(ctx, bucket)
		if errors.Is(err, plant.ErrOffline) || ctx.Err() != nil {
			return 0, err
		}
		if err != nil || !found {
			h.log.Warn("influxdb does not say how long it keeps readings: an audit calls what it dropped unexplained", "bucket", bucket, "error", err)
			return 0, nil
		}
		if kept.age == 0 {
			return 0, nil
		}
		longest = max(longest, kept.age)
		if !h.apart() {
			break
		}
	}
	return plant.At(time.Now()).Add(-longest), nil
}

// buckets are those of an InfluxDB 2.x.
type buckets struct {
	client client.Client
	org    string
	first  string // a bucket that is there
}

// search asks by organization too, which FindBucketByName does not: a token may
// see several that have a bucket of this name.
func (b buckets) search(ctx context.Context, bucket string) (*domain.Bucket, error) {
	answer, err := b.client.APIClient().GetBuckets(ctx, &domain.GetBucketsParams{Org: &b.org, Name: &bucket})
	if err != nil && strings.HasPrefix(err.Error(), string(domain.ErrorCodeNotFound)) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: the token needs the right to read buckets of organization %s", err, b.org)
	}
	if answer.Buckets == nil {
		return nil, nil
	}
	for _, found := range *answer.Buckets {
		if found.Name == bucket {
			return &found, nil
		}
	}
	return nil, nil
}

func (b buckets) find(ctx context.Context, bucket string) (keeping, bool, error) {
	found, err := b.search(ctx, bucket)
	if err != nil || found == nil {
		return keeping{}, false, err
	}
	var kept keeping
	for _, rule := range found.RetentionRules {
		kept.age = time.Duration(rule.EverySeconds) * time.Second
		if rule.ShardGroupDurationSeconds != nil {
			kept.shard = time.Duration(*rule.ShardGroupDurationSeconds) * time.Second
		}
	}
	return kept, true, nil
}

func (b buckets) create(ctx context.Context, bucket string, age time.Duration) error {
	first, err := b.search(ctx, b.first)
	if err != nil {
		return err
	}
	if first == nil || first.OrgID == nil {
		return fmt.Errorf("bucket %s is not found", b.first)
	}
	_, err = b.client.BucketsAPI().CreateBucketWithNameWithID(ctx, *first.OrgID, bucket, domain.RetentionRule{EverySeconds: int64(age / time.Second)})
	if err != nil {
		return fmt.Errorf(`%w: the token needs the right to read and write buckets of organization %s; or do "influx bucket create --org '%s' --name '%s' --retention %s", and give LineTwin a token that may read and write that bucket too`,
			err, b.org, b.org, bucket, inFull(age))
	}
	return nil
}

func (b buckets) change(ctx context.Context, bucket string, to keeping) error {
	found, err := b.search(ctx, bucket)
	if err != nil {
		return err
	}
	if found == nil || found.Id == nil {
		return fmt.Errorf("bucket %s is not found", bucket)
	}
	rule := domain.RetentionRule{EverySeconds: int64(to.age / time.Second)}
	if seconds := int64(to.shard / time.Second); seconds > 0 {
		rule.ShardGroupDurationSeconds = &seconds
	}
	found.RetentionRules = domain.RetentionRules{rule}
	if _, err := b.client.BucketsAPI().UpdateBucket(ctx, found); err != nil {
		shard := ""
		if to.shard > 0 {
			shard = " --shard-group-duration " + inFull(to.shard)
		}
		return fmt.Errorf(`%w: the token needs the right to write this bucket's settings (write:buckets); or do "influx bucket update --id %s --retention %s%s"`, err, *found.Id, inFull(to.age), shard)
	}
	return nil
}

// policies are the retention policies of a database of an InfluxDB 1.8.
type policies struct {
	cfg  *Config
	http *http.Client
}

func (p policies) find(ctx context.Context, bucket string) (keeping, bool, error) {
	text, err := p.run(ctx, "SHOW RETENTION POLICIES ON "+identifier(p.cfg.Database))
	if err != nil {
		return keeping{}, false, err
	}
	all, err := readPolicies(text)
	if err != nil {
		return keeping{}, false, fmt.Errorf("%w: the user needs READ and WRITE on the database", err)
	}
	_, name, named := strings.Cut(bucket, "/")
	for _, policy := range all {
		if policy.name == name || !named && policy.isDefault {
			return policy.keeping, true, nil
		}
	}
	return keeping{}, false, nil
}

func (p policies) create(ctx context.Context, bucket string, age time.Duration) error {
	return p.alter(ctx, "CREATE", bucket, keeping{age: age}, " REPLICATION 1")
}

func (p policies) change(ctx context.Context, bucket string, to keeping) error {
	if _, _, named := strings.Cut(bucket, "/"); named {
		return p.alter(ctx, "ALTER", bucket, to, "")
	}
	text, err := p.run(ctx, "SHOW RETENTION POLICIES ON "+identifier(p.cfg.Database))
	if err != nil {
		return err
	}
	all, err := readPolicies(text)
	for _, policy := range all {
		if policy.isDefault {
			return p.alter(ctx, "ALTER", bucket+"/"+policy.name, to, "")
		}
	}
	return errors.Join(err, errors.New("the database has no default retention policy"))
}

func (p policies) alter(ctx context.Context, verb, bucket string, to keeping, more string) error {
	_, name, _ := strings.Cut(bucket, "/")
	statement := fmt.Sprintf("%s RETENTION POLICY %s ON %s DURATION %s%s", verb, identifier(name), identifier(p.cfg.Database), influxQL(to.age), more)
	if to.shard > 0 {
		statement += " SHARD DURATION " + influxQL(to.shard)
	}
	text, err := p.run(ctx, statement)
	if err == nil {
		_, err = readPolicies(text)
	}
	var unreached *url.Error
	if err != nil && !errors.As(err, &unreached) {
		return fmt.Errorf("%w: 1.8 lets only its administrators do so; have one run: %s", err, statement)
	}
	return err
}

// influxQL gives how long something is kept as InfluxQL writes it.
func influxQL(d time.Duration) string {
	if d == 0 {
		return "INF"
	}
	return inFull(d)
}

// identifier quotes a name for InfluxQL.
func identifier(name string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(name) + `"`
}

// answerLimit bounds what is read of an answer that is a short list.
const answerLimit = 1 << 20

// run has a 1.8 run a statement of InfluxQL.
func (p policies) run(ctx context.Context, statement string) ([]byte, error) {
	form := url.Values{"q": {statement}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(p.cfg.URL, "/")+"/query", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if p.cfg.User != "" {
		req.SetBasicAuth(p.cfg.User, p.cfg.Password.Reveal())
	}
	res, err := p.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return io.ReadAll(io.LimitReader(res.Body, answerLimit))
}

// policy is a retention policy of a 1.8.
type policy struct {
	name      string
	isDefault bool
	keeping
}

// readPolicies reads the answer to SHOW RETENTION POLICIES; any error that an
// answer to a statement tells is given.
func readPolicies(text []byte) ([]policy, error) {
	var answer struct {
		Error   string
		Results []struct {
			Error  string
			Series []struct {
				Columns []string
				Values  [][]any
			}
		}
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, fmt.Errorf("the answer is no JSON: %w", err)
	}
	why := answer.Error
	var all []policy
	for _, result := range answer.Results {
		why += result.Error
		for _, series := range result.Series {
			for _, values := range series.Values {
				p, err := readPolicy(series.Columns, values)
				if err != nil {
					return nil, err
				}
				all = append(all, p)
			}
		}
	}
	if why != "" {
		return nil, errors.New(why)
	}
	return all, nil
}

func readPolicy(columns []string, values []any) (p policy, err error) {
	row := map[string]any{}
	for i, column := range columns {
		if i < len(values) {
			row[column] = values[i]
		}
	}
	p.name, _ = row["name"].(string)
	p.isDefault, _ = row["default"].(bool)
	for key, d := range map[string]*time.Duration{"duration": &p.age, "shardGroupDuration": &p.shard} {
		text, _ := row[key].(string)
		if *d, err = time.ParseDuration(text); err != nil {
			return policy{}, fmt.Errorf("retention policy %s: %s %q is no duration", p.name, key, text)
		}
	}
	return p, nil
}
