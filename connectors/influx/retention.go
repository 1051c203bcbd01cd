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

	"linetwin/plant"
)

// CountedFrom gives the time before which the bucket's own retention may have
// dropped readings; 0: it keeps all, or does not tell us. It may still have
// some of them: it drops a whole shard at a time.
func (h *History) CountedFrom(ctx context.Context, _ string) (plant.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Timeout)
	defer cancel()
	ask := h.bucketAge
	if h.cfg.Database != "" {
		ask = h.policyAge
	}
	age, err := ask(ctx)
	if err != nil {
		var unreached *url.Error
		if errors.As(err, &unreached) || ctx.Err() != nil {
			return 0, h.wrap("read retention of", err)
		}
		h.log.Warn("influxdb does not say how long it keeps readings: an audit calls what it dropped unexplained", "error", err)
		return 0, nil
	}
	if age == 0 {
		return 0, nil
	}
	return plant.At(time.Now()).Add(-age), nil
}

// bucketAge asks a 2.x how long a bucket keeps; 0: for ever.
func (h *History) bucketAge(ctx context.Context) (time.Duration, error) {
	bucket, err := h.client.BucketsAPI().FindBucketByName(ctx, h.bucket)
	if err != nil {
		return 0, err
	}
	for _, rule := range bucket.RetentionRules {
		if rule.EverySeconds > 0 {
			return time.Duration(rule.EverySeconds) * time.Second, nil
		}
	}
	return 0, nil
}

// answerLimit bounds what is read of an answer that is a short list.
const answerLimit = 1 << 20

// policyAge asks a 1.8 how long the retention policy keeps that we write to; 0:
// for ever.
func (h *History) policyAge(ctx context.Context) (time.Duration, error) {
	form := url.Values{"q": {`SHOW RETENTION POLICIES ON "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(h.cfg.Database) + `"`}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(h.cfg.URL, "/")+"/query", strings.NewReader(form.Encode()))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if h.cfg.User != "" {
		req.SetBasicAuth(h.cfg.User, h.cfg.Password.Reveal())
	}
	res, err := h.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, answerLimit))
	if err != nil {
		return 0, err
	}
	return readPolicies(text, h.cfg.RetentionPolicy)
}

// readPolicies finds how long a policy keeps, the default one where it has no
// name, in the answer to SHOW RETENTION POLICIES.
func readPolicies(text []byte, policy string) (time.Duration, error) {
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
		return 0, fmt.Errorf("the answer is no JSON: %w", err)
	}
	why := answer.Error
	for _, result := range answer.Results {
		why += result.Error
		for _, series := range result.Series {
			for _, values := range series.Values {
				row := map[string]any{}
				for i, column := range series.Columns {
					if i < len(values) {
						row[column] = values[i]
					}
				}
				if isDefault, _ := row["default"].(bool); row["name"] == policy || policy == "" && isDefault {
					age, _ := row["duration"].(string)
					return time.ParseDuration(age)
				}
			}
		}
	}
	if why == "" {
		why = "no such retention policy: " + policy
	}
	return 0, errors.New(why)
}
