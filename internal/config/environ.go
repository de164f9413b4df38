package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

const variablePrefix = "SPATE"

// keyed is a list's element that has a name within its list, by which variables refer to it.
type keyed interface{ key() string }

func (p *Pool) key() string     { return p.Name }
func (c *Capacity) key() string { return c.Provider }

// overrider gives values from environment variables to the values they name.
type overrider struct {
	*decoder
	values map[string]string // of all SPATE_ variables
	known  []string          // the variables that would be read
}

// override applies the SPATE_ variables of environ, and refuses those that look like one of ours but name nothing.
func (d *decoder) override(c *Config, environ []string) {
	o := &overrider{decoder: d, values: map[string]string{}}
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok && strings.HasPrefix(name, variablePrefix+"_") {
			o.values[name] = value
		}
	}
	o.structure("", variablePrefix, reflect.ValueOf(c).Elem())
	for name := range o.values {
		if !slices.Contains(o.known, name) && isSectionVariable(name) {
			d.add(place{variable: name}, "", "names no value of this configuration; %s", o.nearest(name))
		}
	}
}

// nearest completes the message about an unknown variable.
func (o *overrider) nearest(name string) string {
	if near := nearest(name, o.known); near != "" {
		return fmt.Sprintf("did you mean %s?", near)
	}
	return "a variable is the value's path in upper case, with pools and tasks by their names, such as SPATE_CACHE_RETENTION"
}

// isSectionVariable tells whether a name begins like those of a section's values. Others, such as SPATE_JOB_KEY, have
// nothing to do with the configuration.
func isSectionVariable(name string) bool {
	for field := range reflect.TypeFor[Config]().Fields() {
		switch field.Type.Kind() {
		case reflect.Struct, reflect.Slice, reflect.Map:
			if strings.HasPrefix(name, variable(variablePrefix, field.Tag.Get("yaml"))+"_") {
				return true
			}
		}
	}
	return false
}

func (o *overrider) structure(path, prefix string, v reflect.Value) {
	f := fieldsOf(v.Type())
	for _, name := range f.names {
		o.value(join(path, name), variable(prefix, name), v.Field(f.index[name]))
	}
}

// value applies the variable of that name to v, then those that name values within it.
func (o *overrider) value(path, name string, v reflect.Value) {
	if v.Kind() == reflect.Struct {
		o.structure(path, name, v)
		return
	}
	o.known = append(o.known, name)
	if text, ok := o.values[name]; ok {
		o.set(path, name, text, v)
	}
	switch {
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		for i := range v.Len() {
			if element, ok := reflect.TypeAssert[keyed](v.Index(i).Addr()); ok && element.key() != "" {
				o.structure(fmt.Sprintf("%s[%d]", path, i), variable(name, element.key()), v.Index(i))
			}
		}
	case v.Kind() == reflect.Map && v.Type().Elem().Kind() == reflect.Struct:
		for _, key := range v.MapKeys() {
			element := reflect.New(v.Type().Elem()).Elem()
			element.Set(v.MapIndex(key))
			o.structure(join(path, key.String()), variable(name, key.String()), element)
			v.SetMapIndex(key, element)
		}
	}
}

// set decodes a variable's text into v.
func (o *overrider) set(path, name, text string, v reflect.Value) {
	at := place{variable: name}
	for old := range o.places {
		if old == path || strings.HasPrefix(old, path+".") || strings.HasPrefix(old, path+"[") {
			delete(o.places, old)
		}
	}
	o.places[path] = at
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		duration, err := ParseDuration(text)
		if err != nil {
			o.reject(at, path, "%q: %s", text, err)
			return
		}
		v.SetInt(int64(duration))
	case v.Kind() == reflect.String:
		v.SetString(text)
	default:
		o.variable = name
		defer func() { o.variable = "" }()
		file, ok := o.parse(path, text)
		switch {
		case !ok:
			o.rejected[path] = true
		case len(file.Docs) != 1 || file.Docs[0].Body == nil:
			o.reject(at, path, "must be one value, written as YAML writes it on one line")
		default:
			o.decoder.value(path, file.Docs[0].Body, v)
		}
	}
}

// variable is the name of the variable for a key below another: upper case, with underscores for dashes.
func variable(prefix, key string) string {
	return prefix + "_" + strings.ToUpper(strings.ReplaceAll(key, "-", "_"))
}
