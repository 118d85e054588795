package engine

import "strings"

// Type is a KQL scalar type.
type Type uint8

// The scalar types. TypeInt and TypeLong share the Go type int64, TypeReal and
// TypeDecimal share float64, TypeString and TypeGUID share string; the column's
// type tells them apart.
const (
	TypeBool Type = iota + 1
	TypeInt
	TypeLong
	TypeReal
	TypeDecimal
	TypeString
	TypeDatetime
	TypeTimespan
	TypeGUID
	TypeDynamic
)

// String gives the KQL name, such as "long".
func (t Type) String() string {
	switch t {
	case TypeBool:
		return "bool"
	case TypeInt:
		return "int"
	case TypeLong:
		return "long"
	case TypeReal:
		return "real"
	case TypeDecimal:
		return "decimal"
	case TypeString:
		return "string"
	case TypeDatetime:
		return "datetime"
	case TypeTimespan:
		return "timespan"
	case TypeGUID:
		return "guid"
	case TypeDynamic:
		return "dynamic"
	}
	return "unknown"
}

// WireName gives the .NET name the service writes into answers, without the
// "System." that getschema adds. A bool is an SByte there.
func (t Type) WireName() string {
	switch t {
	case TypeBool:
		return "SByte"
	case TypeInt:
		return "Int32"
	case TypeLong:
		return "Int64"
	case TypeReal:
		return "Double"
	case TypeDecimal:
		return "SqlDecimal"
	case TypeString:
		return "String"
	case TypeDatetime:
		return "DateTime"
	case TypeTimespan:
		return "TimeSpan"
	case TypeGUID:
		return "Guid"
	case TypeDynamic:
		return "Object"
	}
	return "Unknown"
}

// ParseType reads a KQL type name or one of its aliases, in lower case.
func ParseType(name string) (Type, bool) {
	switch name {
	case "bool", "boolean":
		return TypeBool, true
	case "int", "int32":
		return TypeInt, true
	case "long", "int64":
		return TypeLong, true
	case "real", "double":
		return TypeReal, true
	case "decimal":
		return TypeDecimal, true
	case "string":
		return TypeString, true
	case "datetime", "date":
		return TypeDatetime, true
	case "timespan", "time":
		return TypeTimespan, true
	case "guid", "uuid", "uniqueid":
		return TypeGUID, true
	case "dynamic":
		return TypeDynamic, true
	}
	return 0, false
}

func (t Type) integer() bool { return t == TypeInt || t == TypeLong }

func (t Type) numeric() bool {
	return t == TypeInt || t == TypeLong || t == TypeReal || t == TypeDecimal
}

// counted reports whether values of t fit an int64: whole numbers and ticks.
func (t Type) counted() bool { return t.integer() || t == TypeDatetime || t == TypeTimespan }

// wider is the numeric type that holds the result of arithmetic on a and b.
func wider(a, b Type) Type {
	for _, t := range []Type{TypeReal, TypeDecimal, TypeLong} {
		if a == t || b == t {
			return t
		}
	}
	return TypeInt
}

// Column is one column of a table.
type Column struct {
	Name string
	Type Type
}

func columnIndex(cols []Column, name string) int {
	for i := range cols {
		if cols[i].Name == name {
			return i
		}
	}
	return -1
}

// wildcard reports whether name matches pattern, in which '*' stands for any run.
func wildcard(pattern, name string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == name
	}
	if !strings.HasPrefix(name, parts[0]) {
		return false
	}
	name = name[len(parts[0]):]
	last := len(parts) - 1
	for _, p := range parts[1:last] {
		i := strings.Index(name, p)
		if i < 0 {
			return false
		}
		name = name[i+len(p):]
	}
	return strings.HasSuffix(name, parts[last])
}
