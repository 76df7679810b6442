// The operations through the Go driver.  What every program here does and reads: ../README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"sort"
	"strings"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// What the driver's events told: monitoring runs in goroutines of its own.
type recorder struct {
	mutex     sync.Mutex
	getMores  int
	addresses map[string]bool
	kind      string
}

type program struct {
	client   *mongo.Client
	coll     *mongo.Collection
	seeds    []string
	mongos   bool
	refused  string
	recorder *recorder
}

func (r *recorder) started(_ context.Context, e *event.CommandStartedEvent) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if e.CommandName == "getMore" {
		r.getMores++
	}
}

func (r *recorder) changed(e *event.TopologyDescriptionChangedEvent) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.kind = e.NewDescription.Kind
	for _, server := range e.NewDescription.Servers {
		r.addresses[string(server.Addr)] = true
	}
}

func (r *recorder) countGetMores() int {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.getMores
}

func same(got, want any) error {
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("got %v, not %v", got, want)
	}
	return nil
}

// The first of errs that is one: operations after a failure cost little here.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *program) find(ctx context.Context, id int) (bson.D, error) {
	var doc bson.D

	err := p.coll.FindOne(ctx, bson.D{{"_id", id}}).Decode(&doc)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return nil, nil
	}
	return doc, err
}

func (p *program) findIs(ctx context.Context, id int, want bson.D) error {
	doc, err := p.find(ctx, id)
	if err != nil {
		return err
	}
	return same(doc, want)
}

func (p *program) count(ctx context.Context, filter bson.D, want int64) error {
	n, err := p.coll.CountDocuments(ctx, filter)
	if err != nil {
		return err
	}
	return same(n, want)
}

func (p *program) insert(ctx context.Context, doc bson.D) error {
	_, err := p.coll.InsertOne(ctx, doc)
	return err
}

func (p *program) hello(ctx context.Context) error {
	var hello, ping, build bson.M
	admin := p.client.Database("admin")

	if err := first(admin.RunCommand(ctx, bson.D{{"hello", 1}}).Decode(&hello),
		admin.RunCommand(ctx, bson.D{{"ping", 1}}).Decode(&ping),
		admin.RunCommand(ctx, bson.D{{"buildInfo", 1}}).Decode(&build)); err != nil {
		return err
	}
	if p.mongos {
		for _, name := range []string{"hosts", "passives", "arbiters", "me", "primary", "setName"} {
			if _, there := hello[name]; there {
				return fmt.Errorf("hello has %s", name)
			}
		}
	}
	_, text := build["version"].(string)
	return first(same(hello["isWritablePrimary"], true), same(hello["msg"] == "isdbgrid", p.mongos),
		same(ping["ok"], 1.0), same(text, true))
}

func (p *program) topology(context.Context) error {
	p.recorder.mutex.Lock()
	defer p.recorder.mutex.Unlock()
	if p.mongos {
		return same(p.recorder.kind, "Sharded")
	}
	return same(p.recorder.kind, "ReplicaSetWithPrimary")
}

func (p *program) fill(ctx context.Context) error {
	var docs []any

	if _, err := p.coll.DeleteMany(ctx, bson.D{}); err != nil {
		return err
	}
	one, err := p.coll.InsertOne(ctx, bson.D{{"_id", 1000}, {"n", -1}, {"group", "x"}})
	if err != nil {
		return err
	}
	for n := 0; n < 250; n++ {
		docs = append(docs, bson.D{{"_id", n}, {"n", n}, {"group", fmt.Sprintf("g%d", n%5)}})
	}
	many, err := p.coll.InsertMany(ctx, docs)
	if err != nil {
		return err
	}
	return first(same(fmt.Sprint(one.InsertedID), "1000"), same(len(many.InsertedIDs), 250))
}

func (p *program) change(ctx context.Context) error {
	var after bson.D
	one := bson.D{{"_id", 1000}}

	updated, err := p.coll.UpdateOne(ctx, one, bson.D{{"$set", bson.D{{"text", "set"}}}})
	if err != nil {
		return err
	}
	err = p.coll.FindOneAndUpdate(ctx, one, bson.D{{"$inc", bson.D{{"n", 2}}}},
		options.FindOneAndUpdate().SetReturnDocument(options.After)).Decode(&after)
	if err != nil {
		return err
	}
	replaced, err := p.coll.ReplaceOne(ctx, one, bson.D{{"n", 7}, {"group", "y"}})
	if err != nil {
		return err
	}
	return first(same([2]int64{updated.MatchedCount, updated.ModifiedCount}, [2]int64{1, 1}),
		same(after, bson.D{{"_id", int32(1000)}, {"n", int32(1)}, {"group", "x"}, {"text", "set"}}),
		same(replaced.ModifiedCount, int64(1)),
		p.findIs(ctx, 1000, bson.D{{"_id", int32(1000)}, {"n", int32(7)}, {"group", "y"}}))
}

func (p *program) crud(ctx context.Context) error {
	var found []bson.D
	var groups []string

	if err := p.fill(ctx); err != nil {
		return err
	}
	cursor, err := p.coll.Find(ctx, bson.D{{"n", bson.D{{"$gte", 100}}}}, options.Find().
		SetProjection(bson.D{{"_id", 0}, {"n", 1}}).SetSort(bson.D{{"n", -1}}).SetLimit(3))
	if err != nil {
		return err
	}
	if err := first(cursor.All(ctx, &found), p.change(ctx),
		p.coll.Distinct(ctx, "group", bson.D{}).Decode(&groups),
		p.count(ctx, bson.D{{"group", "g1"}}, 50)); err != nil {
		return err
	}
	sort.Strings(groups)
	deleted, err := p.coll.DeleteOne(ctx, bson.D{{"_id", 1000}})
	if err != nil {
		return err
	}
	return first(same(found, []bson.D{{{"n", int32(249)}}, {{"n", int32(248)}}, {{"n", int32(247)}}}),
		same(groups, []string{"g0", "g1", "g2", "g3", "g4", "y"}),
		same(deleted.DeletedCount, int64(1)), p.count(ctx, bson.D{}, 250))
}

func (p *program) aggregate(ctx context.Context) error {
	var got, want []bson.D

	cursor, err := p.coll.Aggregate(ctx, mongo.Pipeline{
		{{"$match", bson.D{{"n", bson.D{{"$gte", 0}}}}}},
		{{"$group", bson.D{{"_id", "$group"}, {"sum", bson.D{{"$sum", "$n"}}},
			{"count", bson.D{{"$sum", 1}}}}}},
		{{"$sort", bson.D{{"_id", 1}}}},
	})
	if err != nil {
		return err
	}
	if err := cursor.All(ctx, &got); err != nil {
		return err
	}
	for k := 0; k < 5; k++ {
		want = append(want, bson.D{{"_id", fmt.Sprintf("g%d", k)}, {"sum", int32(6125 + 50*k)},
			{"count", int32(50)}})
	}
	return same(got, want)
}

func (p *program) cursor(ctx context.Context) error {
	var docs []struct{ N int }
	before := p.recorder.countGetMores()

	cursor, err := p.coll.Find(ctx, bson.D{},
		options.Find().SetSort(bson.D{{"n", 1}}).SetBatchSize(100))
	if err != nil {
		return err
	}
	if err := cursor.All(ctx, &docs); err != nil {
		return err
	}
	for i, doc := range docs {
		if doc.N != i {
			return fmt.Errorf("document %d is number %d", doc.N, i)
		}
	}
	return first(same(len(docs), 250), same(p.recorder.countGetMores()-before, 2))
}

func (p *program) transaction(ctx context.Context) error {
	doc := bson.D{{"_id", int32(2000)}, {"n", int32(1)}}
	session, err := p.client.StartSession()
	if err != nil {
		return err
	}
	defer session.EndSession(ctx)
	in := mongo.NewSessionContext(ctx, session)
	steps := []func() error{
		func() error { return session.StartTransaction() },
		func() error { return p.insert(in, doc) },
		func() error { return p.findIs(in, 2000, doc) },
		func() error { return p.findIs(ctx, 2000, nil) },
		func() error { return session.CommitTransaction(ctx) },
		func() error { return p.findIs(ctx, 2000, doc) },
		func() error { return session.StartTransaction() },
		func() error { return p.insert(in, bson.D{{"_id", 2001}, {"n", 1}}) },
		func() error { return session.AbortTransaction(ctx) },
		func() error { return p.findIs(ctx, 2001, nil) },
		func() error {
			_, err := session.WithTransaction(ctx, func(in context.Context) (any, error) {
				if err := p.insert(in, bson.D{{"_id", 2002}, {"n", 1}}); err != nil {
					return nil, err
				}
				return p.coll.UpdateOne(in, bson.D{{"_id", 2000}},
					bson.D{{"$set", bson.D{{"n", 2}}}})
			})
			return err
		},
		func() error {
			return p.count(ctx, bson.D{{"_id", bson.D{{"$in", bson.A{2000, 2001, 2002}}}}}, 2)
		},
		func() error {
			return p.findIs(ctx, 2000, bson.D{{"_id", int32(2000)}, {"n", int32(2)}})
		},
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (p *program) bulk(ctx context.Context) error {
	var failure mongo.BulkWriteException

	result, err := p.coll.BulkWrite(ctx, []mongo.WriteModel{
		mongo.NewInsertOneModel().SetDocument(bson.D{{"_id", 3000}, {"n", 1}}),
		mongo.NewInsertOneModel().SetDocument(bson.D{{"_id", 3000}, {"n", 2}}),
		mongo.NewUpdateOneModel().SetFilter(bson.D{{"_id", 0}}).
			SetUpdate(bson.D{{"$set", bson.D{{"text", "bulk"}}}}),
		mongo.NewDeleteOneModel().SetFilter(bson.D{{"_id", 2002}}),
	}, options.BulkWrite().SetOrdered(false))
	if !errors.As(err, &failure) {
		return fmt.Errorf("not a bulk write error: %v", err)
	}
	if len(failure.WriteErrors) != 1 {
		return fmt.Errorf("%d write errors", len(failure.WriteErrors))
	}
	one := failure.WriteErrors[0]
	return first(same([2]int{one.Index, one.Code}, [2]int{1, 11000}),
		same([3]int64{result.InsertedCount, result.ModifiedCount, result.DeletedCount},
			[3]int64{1, 1, 1}))
}

func (p *program) duplicate(ctx context.Context) error {
	var failure mongo.WriteException

	err := p.insert(ctx, bson.D{{"_id", 0}})
	if !errors.As(err, &failure) {
		return fmt.Errorf("not a write error: %v", err)
	}
	return same(failure.HasErrorCode(11000), true)
}

func (p *program) refusal(ctx context.Context) error {
	var refused struct {
		DB      string
		Command bson.D
	}
	var failure mongo.CommandError

	if err := bson.UnmarshalExtJSON([]byte(p.refused), false, &refused); err != nil {
		return err
	}
	err := p.client.Database(refused.DB).RunCommand(ctx, refused.Command).Err()
	if !errors.As(err, &failure) {
		return fmt.Errorf("not a command error: %v", err)
	}
	return first(same(failure.Code, int32(13)), same(failure.Name, "Unauthorized"))
}

func (p *program) addresses(context.Context) error {
	var known []string

	p.recorder.mutex.Lock()
	defer p.recorder.mutex.Unlock()
	for address := range p.recorder.addresses {
		known = append(known, address)
	}
	sort.Strings(known)
	sort.Strings(p.seeds)
	return same(known, p.seeds)
}

func (p *program) run(ctx context.Context) int {
	failed := 0
	checks := []struct {
		name  string
		check func(context.Context) error
	}{
		{"hello", p.hello}, {"topology", p.topology}, {"crud", p.crud},
		{"aggregate", p.aggregate}, {"cursor", p.cursor}, {"transaction", p.transaction},
		{"bulk", p.bulk}, {"duplicate", p.duplicate}, {"refused", p.refusal},
		{"addresses", p.addresses},
	}

	for _, c := range checks {
		if c.name == "refused" && p.refused == "" {
			continue
		}
		if err := c.check(ctx); err != nil {
			fmt.Printf("FAILED go %s: %v\n", c.name, err)
			failed = 1
			continue
		}
		fmt.Printf("ok go %s\n", c.name)
	}
	if _, err := p.coll.DeleteMany(ctx, bson.D{}); err != nil {
		fmt.Printf("FAILED go cleanup: %v\n", err)
		failed = 1
	}
	return failed
}

func main() {
	ctx := context.Background()
	record := &recorder{addresses: map[string]bool{}}
	opts := options.Client().ApplyURI(os.Getenv("DRIVERS_URI")).
		SetMonitor(&event.CommandMonitor{Started: record.started}).
		SetServerMonitor(&event.ServerMonitor{TopologyDescriptionChanged: record.changed})
	client, err := mongo.Connect(opts)
	if err != nil {
		fmt.Printf("FAILED go connect: %v\n", err)
		os.Exit(1)
	}
	database, collection, _ := strings.Cut(os.Getenv("DRIVERS_NAMESPACE"), ".")
	p := &program{
		client: client, coll: client.Database(database).Collection(collection),
		seeds: opts.Hosts, mongos: os.Getenv("DRIVERS_EXPECT") == "mongos",
		refused: os.Getenv("DRIVERS_REFUSED"), recorder: record,
	}
	failed := p.run(ctx)
	if err := client.Disconnect(ctx); err != nil {
		fmt.Printf("FAILED go disconnect: %v\n", err)
		failed = 1
	}
	os.Exit(failed)
}
