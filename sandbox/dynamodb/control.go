package dynamodb

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"spate/sandbox/dynamodb/attribute"
)

type keySchemaElement struct {
	AttributeName string
	KeyType       string
}

type attributeDefinition struct {
	AttributeName string
	AttributeType attribute.Kind
}

type throughput struct {
	ReadCapacityUnits      int64
	WriteCapacityUnits     int64
	NumberOfDecreasesToday int64
}

// billing is a table's capacity mode. Neither mode limits anything here.
type billing struct {
	mode       string
	throughput throughput
}

type streamSpecification struct {
	StreamEnabled  bool
	StreamViewType view `json:",omitempty"`
}

type createTableInput struct {
	TableName              string
	KeySchema              []keySchemaElement
	AttributeDefinitions   []attributeDefinition
	BillingMode            string
	ProvisionedThroughput  *throughput
	StreamSpecification    *streamSpecification
	GlobalSecondaryIndexes []json.RawMessage
	LocalSecondaryIndexes  []json.RawMessage
}

type billingSummary struct{ BillingMode string }

type tableDescription struct {
	TableName             string
	TableArn              string
	TableId               string
	TableStatus           string
	CreationDateTime      float64
	KeySchema             []keySchemaElement
	AttributeDefinitions  []attributeDefinition
	ItemCount             int
	TableSizeBytes        int
	ProvisionedThroughput throughput
	BillingModeSummary    *billingSummary      `json:",omitempty"`
	StreamSpecification   *streamSpecification `json:",omitempty"`
	LatestStreamArn       string               `json:",omitempty"`
	LatestStreamLabel     string               `json:",omitempty"`
}

type tableDescriptionOutput struct{ TableDescription tableDescription }

type tableNameInput struct{ TableName string }

func (s *Server) createTable(now time.Time, in createTableInput) (tableDescriptionOutput, error) {
	t, err := in.table(now)
	if err != nil {
		return tableDescriptionOutput{}, err
	}
	t.habits = s.habits
	t.arn = fmt.Sprintf("arn:aws:dynamodb:%s:%s:table/%s", s.options.Region, s.options.AccountID, t.name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tables[t.name] != nil {
		return tableDescriptionOutput{}, fault("ResourceInUseException", "Table already exists: %s", t.name)
	}
	if err := s.setStream(t, in.StreamSpecification, now); err != nil {
		return tableDescriptionOutput{}, err
	}
	s.tables[t.name] = t
	return tableDescriptionOutput{t.describe("ACTIVE")}, nil
}

// table validates a request for a table and returns the table, which has no ARN yet.
func (in createTableInput) table(now time.Time) (*table, error) {
	if err := checkTableName(in.TableName); err != nil {
		return nil, err
	}
	if len(in.GlobalSecondaryIndexes)+len(in.LocalSecondaryIndexes) > 0 {
		return nil, attribute.Invalid("the sandbox has no secondary indexes")
	}
	sc, err := in.schema()
	if err != nil {
		return nil, err
	}
	t := &table{name: in.TableName, id: newID(), schema: sc, billing: billing{mode: in.BillingMode}, createdAt: now}
	switch in.BillingMode {
	case "PAY_PER_REQUEST":
		if in.ProvisionedThroughput != nil {
			return nil, attribute.Invalid("One or more parameter values were invalid: Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST")
		}
	case "PROVISIONED", "":
		if in.ProvisionedThroughput == nil {
			return nil, attribute.Invalid("One or more parameter values were invalid: ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED")
		}
		t.billing = billing{mode: "PROVISIONED", throughput: *in.ProvisionedThroughput}
	default:
		return nil, outOfRange(in.BillingMode, "billingMode", "Member must satisfy enum value set: [PROVISIONED, PAY_PER_REQUEST]")
	}
	return t, nil
}

func checkTableName(name string) error {
	if len(name) < 3 || len(name) > 255 {
		return attribute.Invalid("TableName must be at least 3 characters long and at most 255 characters long")
	}
	if !regexp.MustCompile(`^[a-zA-Z0-9_.-]+$`).MatchString(name) {
		return outOfRange(name, "tableName", "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+")
	}
	return nil
}

func (in createTableInput) schema() (schema, error) {
	if len(in.KeySchema) < 1 || len(in.KeySchema) > 2 {
		return schema{}, attribute.Invalid("1 validation error detected: Value at 'keySchema' failed to satisfy constraint: Member must have length from 1 to 2")
	}
	kinds := make(map[string]attribute.Kind)
	for _, d := range in.AttributeDefinitions {
		if !slices.Contains([]attribute.Kind{attribute.KindString, attribute.KindNumber, attribute.KindBinary}, d.AttributeType) {
			return schema{}, outOfRange(d.AttributeType, "attributeDefinitions.member.attributeType", "Member must satisfy enum value set: [B, N, S]")
		}
		kinds[d.AttributeName] = d.AttributeType
	}
	var sc schema
	for i, role := range []string{"HASH", "RANGE"}[:len(in.KeySchema)] {
		e := in.KeySchema[i]
		if e.KeyType != role {
			return schema{}, attribute.Invalid("Invalid KeySchema: element %d must be a %s key type", i+1, role)
		}
		kind, ok := kinds[e.AttributeName]
		if !ok {
			return schema{}, attribute.Invalid("One or more parameter values were invalid: Some index key attributes are not defined in AttributeDefinitions. Keys: [%s], AttributeDefinitions: %v", e.AttributeName, slices.Sorted(maps.Keys(kinds)))
		}
		if role == "HASH" {
			sc.hashKey = keyAttribute{name: e.AttributeName, kind: kind}
		} else {
			sc.rangeKey = keyAttribute{name: e.AttributeName, kind: kind}
		}
	}
	if sc.hashKey.name == sc.rangeKey.name {
		return schema{}, attribute.Invalid("Both the Hash Key and the Range Key element in the KeySchema have the same name")
	}
	if len(kinds) != len(in.KeySchema) {
		return schema{}, attribute.Invalid("One or more parameter values were invalid: Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions")
	}
	return sc, nil
}

// setStream turns a table's stream on or off; nil leaves it as it is. s.mu must be held, and t.mu unless t is new.
func (s *Server) setStream(t *table, spec *streamSpecification, now time.Time) error {
	if spec == nil {
		return nil
	}
	on := t.stream != nil && t.stream.isEnabled()
	switch {
	case spec.StreamEnabled && on:
		return attribute.Invalid("Table already has an enabled stream: TableName: %s", t.name)
	case !spec.StreamEnabled && spec.StreamViewType != "":
		return attribute.Invalid("One or more parameter values were invalid: StreamViewType must not be specified when StreamEnabled is false")
	case spec.StreamEnabled:
		if !slices.Contains([]view{viewKeys, viewNew, viewOld, viewNewAndOld}, spec.StreamViewType) {
			return outOfRange(spec.StreamViewType, "streamSpecification.streamViewType", "Member must satisfy enum value set: [NEW_IMAGE, OLD_IMAGE, NEW_AND_OLD_IMAGES, KEYS_ONLY]")
		}
		next := newStream(t, spec.StreamViewType, s.options.StreamShards, now)
		for s.streams[next.arn] != nil { // labels, which tell a table's streams apart, have milliseconds
			now = now.Add(time.Millisecond)
			next = newStream(t, spec.StreamViewType, s.options.StreamShards, now)
		}
		t.stream = next
		s.streams[t.stream.arn] = t.stream
	case on:
		t.stream.disable(now)
	}
	return nil
}

// describe returns what the service says of a table. t.mu must be held, unless t is new.
func (t *table) describe(status string) tableDescription {
	d := tableDescription{
		TableName: t.name, TableArn: t.arn, TableId: t.id, TableStatus: status, CreationDateTime: epoch(t.createdAt),
		ItemCount: t.records.count, TableSizeBytes: t.records.bytes, ProvisionedThroughput: t.billing.throughput,
	}
	for i, k := range t.schema.attributes() {
		d.KeySchema = append(d.KeySchema, keySchemaElement{AttributeName: k.name, KeyType: []string{"HASH", "RANGE"}[i]})
		d.AttributeDefinitions = append(d.AttributeDefinitions, attributeDefinition{AttributeName: k.name, AttributeType: k.kind})
	}
	if t.billing.mode == "PAY_PER_REQUEST" {
		d.BillingModeSummary = &billingSummary{BillingMode: t.billing.mode}
	}
	if t.stream != nil {
		d.LatestStreamArn, d.LatestStreamLabel = t.stream.arn, t.stream.label
		if t.stream.isEnabled() {
			d.StreamSpecification = &streamSpecification{StreamEnabled: true, StreamViewType: t.stream.view}
		}
	}
	return d
}

type describeTableOutput struct{ Table tableDescription }

func (s *Server) describeTable(_ time.Time, in tableNameInput) (describeTableOutput, error) {
	t, err := s.table(in.TableName)
	if err != nil {
		return describeTableOutput{}, s.missing(in.TableName, err)
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	return describeTableOutput{t.describe("ACTIVE")}, nil
}

// missing names the table in the error of operations on whole tables.
func (s *Server) missing(name string, err error) error {
	if name == "" {
		return err
	}
	return fault("ResourceNotFoundException", "Requested resource not found: Table: %s not found", name)
}

func (s *Server) deleteTable(now time.Time, in tableNameInput) (tableDescriptionOutput, error) {
	t, err := s.table(in.TableName)
	if err != nil {
		return tableDescriptionOutput{}, s.missing(in.TableName, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tables[t.name] != t {
		return tableDescriptionOutput{}, s.missing(in.TableName, errNoTable())
	}
	delete(s.tables, t.name)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stream != nil && t.stream.isEnabled() {
		t.stream.disable(now)
	}
	return tableDescriptionOutput{t.describe("DELETING")}, nil
}

type listTablesInput struct {
	ExclusiveStartTableName string
	Limit                   *int
}

type listTablesOutput struct {
	TableNames             []string
	LastEvaluatedTableName string `json:",omitempty"`
}

func (s *Server) listTables(_ time.Time, in listTablesInput) (listTablesOutput, error) {
	limit, err := limitFrom(in.Limit, 100)
	if err != nil {
		return listTablesOutput{}, err
	}
	s.mu.RLock()
	names := slices.Sorted(maps.Keys(s.tables))
	s.mu.RUnlock()
	start, found := slices.BinarySearch(names, in.ExclusiveStartTableName)
	if found {
		start++
	}
	names = names[start:]
	if len(names) <= limit {
		return listTablesOutput{TableNames: append([]string{}, names...)}, nil
	}
	return listTablesOutput{TableNames: names[:limit], LastEvaluatedTableName: names[limit-1]}, nil
}

// limitFrom returns an optional limit of a request, from 1 to most; absent means most.
func limitFrom(limit *int, most int) (int, error) {
	switch {
	case limit == nil:
		return most, nil
	case *limit < 1:
		return 0, outOfRange(*limit, "limit", "Member must have value greater than or equal to 1")
	case *limit > most:
		return 0, outOfRange(*limit, "limit", fmt.Sprintf("Member must have value less than or equal to %d", most))
	}
	return *limit, nil
}

type updateTableInput struct {
	TableName                   string
	StreamSpecification         *streamSpecification
	GlobalSecondaryIndexUpdates []json.RawMessage
	BillingMode                 string
	ProvisionedThroughput       *throughput
}

func (s *Server) updateTable(now time.Time, in updateTableInput) (tableDescriptionOutput, error) {
	t, err := s.table(in.TableName)
	if err != nil {
		return tableDescriptionOutput{}, s.missing(in.TableName, err)
	}
	if len(in.GlobalSecondaryIndexUpdates) > 0 {
		return tableDescriptionOutput{}, attribute.Invalid("the sandbox has no secondary indexes")
	}
	if in.StreamSpecification == nil || in.BillingMode != "" || in.ProvisionedThroughput != nil {
		return tableDescriptionOutput{}, attribute.Invalid("the sandbox updates nothing of a table but its StreamSpecification")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := s.setStream(t, in.StreamSpecification, now); err != nil {
		return tableDescriptionOutput{}, err
	}
	return tableDescriptionOutput{t.describe("ACTIVE")}, nil
}

type ttlSpecification struct {
	AttributeName string
	Enabled       bool
}

type updateTTLInput struct {
	TableName               string
	TimeToLiveSpecification ttlSpecification
}

type updateTTLOutput struct{ TimeToLiveSpecification ttlSpecification }

func (s *Server) updateTimeToLive(_ time.Time, in updateTTLInput) (updateTTLOutput, error) {
	t, err := s.table(in.TableName)
	if err != nil {
		return updateTTLOutput{}, s.missing(in.TableName, err)
	}
	spec := in.TimeToLiveSpecification
	if len(spec.AttributeName) < 1 || len(spec.AttributeName) > 255 {
		return updateTTLOutput{}, outOfRange(spec.AttributeName, "timeToLiveSpecification.attributeName", "Member must have length from 1 to 255")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case spec.Enabled && t.ttlAttribute != "":
		return updateTTLOutput{}, attribute.Invalid("TimeToLive is already enabled")
	case !spec.Enabled && t.ttlAttribute == "":
		return updateTTLOutput{}, attribute.Invalid("TimeToLive is already disabled")
	case spec.Enabled:
		t.setTTL(spec.AttributeName)
	case spec.AttributeName != t.ttlAttribute:
		return updateTTLOutput{}, attribute.Invalid("TimeToLive is active on a different AttributeName: current AttributeName is %s", t.ttlAttribute)
	default:
		t.setTTL("")
	}
	return updateTTLOutput{spec}, nil
}

type ttlDescription struct {
	AttributeName    string `json:",omitempty"`
	TimeToLiveStatus string
}

type describeTTLOutput struct{ TimeToLiveDescription ttlDescription }

func (s *Server) describeTimeToLive(_ time.Time, in tableNameInput) (describeTTLOutput, error) {
	t, err := s.table(in.TableName)
	if err != nil {
		return describeTTLOutput{}, s.missing(in.TableName, err)
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.ttlAttribute == "" {
		return describeTTLOutput{ttlDescription{TimeToLiveStatus: "DISABLED"}}, nil
	}
	return describeTTLOutput{ttlDescription{AttributeName: t.ttlAttribute, TimeToLiveStatus: "ENABLED"}}, nil
}

// epoch is a time as the protocol writes it: seconds, with milliseconds as a fraction.
func epoch(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// newID returns a random identifier in the form of a UUID.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the program instead
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
