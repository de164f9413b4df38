package config

import (
	"strings"
	"testing"
)

func TestGoldenAnyValueIsOverriddenByItsVariable(t *testing.T) {
	c, err := Load("testdata/good/full.yaml", []string{
		"PATH=/bin",
		"SPATE_JOB_KEY=not ours",
		"SPATE_CONFIG=not ours either",
		"SPATE_ENVIRONMENT=test",
		"SPATE_REDIS_URL=redis://localhost:6379",
		"SPATE_HTTP_LISTEN=127.0.0.1:0",
		"SPATE_CACHE_RETENTION=7d",
		"SPATE_CACHE_LEDGER_WRITES_PER_SECOND=10",
		"SPATE_POOLS_ROLLUP_MAX=12",
		"SPATE_POOLS_ROLLUP_SUBNETS=[subnet-x, subnet-y]",
		"SPATE_POOLS_ROLLUP_CAPACITY_FARGATE_SPOT_MAX=11",
		"SPATE_POOLS_DEALS_CAPACITY=[{provider: FARGATE_SPOT, max: 301}]",
		"SPATE_TASKS_PRICE_DEAL_TIMEOUT=2m",
		"SPATE_TASKS_PRICE_DEAL_DETERMINISTIC=true",
		"SPATE_TASKS_PRICE_DEAL_ENV={A: b}",
		"SPATE_TASKS_COMBINE_COMMAND=[./combine, --quick]",
	})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/good/environ.golden", dump(c))
}

func TestGoldenProblemsOfVariablesNameTheVariable(t *testing.T) {
	_, err := Load("testdata/good/full.yaml", []string{
		"SPATE_BUCKET=",
		"SPATE_CACHE_RETENSION=7d",
		"SPATE_CACHE_RETENTION=soon",
		"SPATE_CACHE_LEDGER_WRITES_PER_SECOND=many",
		"SPATE_HTTP_LISTEN=localhost",
		"SPATE_POOLS_NIGHTLY_MAX=7",
		"SPATE_POOLS_ROLLUP_MAX=200000",
		"SPATE_POOLS_ROLLUP_SUBNETS=[subnet-x",
		"SPATE_POOLS_ROLLUP_SLOTS=",
		"SPATE_POOLS_DEALS_CAPACITY=[{provider: FARGATE, macs: 301}]",
		"SPATE_POOLS_DEALS_MIN=301",
		"SPATE_TASKS_PRICE_DEAL_TIMEOUT=13h",
	})
	if err == nil {
		t.Fatal("got no error")
	}
	requirePositions(t, err)
	golden(t, "testdata/environ-bad.golden", err.Error()+"\n")
}

func TestAVariableMayGiveAWholeList(t *testing.T) {
	pools := "[{name: only, queue: q, cluster: c, task_definition: t, subnets: [s], capacity: [{provider: FARGATE, max: 2}], max: 9}]"
	_, err := Load("testdata/good/full.yaml", []string{"SPATE_POOLS=" + pools})
	if err == nil || !strings.Contains(err.Error(), "environment variable SPATE_POOLS: pools[0].capacity: allows 2 workers") {
		t.Errorf("got %v, want the problem of the list that the variable gave", err)
	}
	c, err := Load("testdata/good/full.yaml", []string{"SPATE_POOLS=" + pools, "SPATE_POOLS_ONLY_MAX=2"})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Pools) != 1 || c.Pools[0].Name != "only" || c.Pools[0].Max != 2 || c.Pools[0].Slots != 1 {
		t.Errorf("got pools %+v, want the one pool of the variable, with defaults and its own max", c.Pools)
	}
}
