package awsclient

import (
	"regexp"
	"strings"
)

// sentences are parts of what ECS says in exceptions and in the failures of a successful answer alike, each with its class;
// the first that is found counts. They are in lower case, with plain apostrophes.
//
// RESOURCE:ENI is there for too few addresses as for too many network interfaces. It counts as the former: other subnets are
// tried, and soon again.
func sentences() []struct {
	part  string
	class Class
} {
	return []struct {
		part  string
		class Class
	}{
		{"throttl", ClassThrottled},
		{"requestlimitexceeded", ClassThrottled},
		{"request limit exceeded", ClassThrottled},
		{"rate exceeded", ClassThrottled},
		{"too many requests", ClassThrottled},
		{"capacity is unavailable", ClassCapacity},
		{"insufficient capacity", ClassCapacity},
		{"provisioning capacity limit exceeded", ClassCapacity},
		{"free addresses", ClassCapacity},
		{"insufficientfreeaddresses", ClassCapacity},
		{"sufficient free ipv4", ClassCapacity},
		{"resource:", ClassCapacity},
		{"reached the limit on the number of", ClassQuota},
		{"networkinterfacelimitexceeded", ClassQuota},
		{"is above your limit", ClassQuota},
		{"(errorcode: internal", ClassTransient},
		{"(errorcode: unavailable", ClassTransient},
		{"(errorcode: serviceunavailable", ClassTransient},
	}
}

// ClassifyFailure sorts a sentence of ECS: the reason of a failure inside a successful RunTask answer, or the message of an
// exception whose code says too little.
func ClassifyFailure(reason string) Class {
	text := plain(reason)
	for _, s := range sentences() {
		if strings.Contains(text, s.part) {
			return s.class
		}
	}
	return ClassUnknown
}

// plain is a sentence as [sentences] has them: ECS writes some apostrophes typographically, and not always the same.
func plain(sentence string) string {
	return strings.ReplaceAll(strings.ToLower(sentence), "’", "'")
}

var subnet = regexp.MustCompile(`\bsubnet-[0-9A-Za-z]+`)

// Subnet is the first subnet that a sentence names, or "".
func Subnet(sentence string) string {
	return subnet.FindString(sentence)
}

// Quota is a limit of the account in one Region, as the Service Quotas service names it.
type Quota struct {
	Name    string
	Service string // service code
	Code    string // quota code
}

// QuotaOf is the quota that a sentence of the class quota is about. The sentence about vCPUs is the same for both capacity
// providers, so that only the provider of the request tells which ("AWS Fargate service quotas", "Amazon VPC quotas").
func QuotaOf(sentence, provider string) Quota {
	switch text := plain(sentence); {
	case strings.Contains(text, "network interface"), strings.Contains(text, "networkinterface"):
		return networkInterfaces()
	case provider == "FARGATE_SPOT":
		return Quota{Name: "Fargate Spot vCPU resource count", Service: "fargate", Code: "L-36FBB829"}
	default:
		return Quota{Name: "Fargate On-Demand vCPU resource count", Service: "fargate", Code: "L-3032A538"}
	}
}

func networkInterfaces() Quota {
	return Quota{Name: "Network interfaces per Region", Service: "vpc", Code: "L-DF5E4CA3"}
}

// Shared reports whether the quota is one for all capacity providers.
func (q Quota) Shared() bool { return q.Service == "vpc" }

// Raise says how to have the quota raised.
func (q Quota) Raise() string {
	return "ask for more in the Service Quotas console, or: `aws service-quotas request-service-quota-increase --service-code " +
		q.Service + " --quota-code " + q.Code + " --desired-value N`"
}

// RoomRemedy says what a person can look at when there is no room, where ECS's sentence leaves that open; else "". ECS says
// RESOURCE:ENI for either of two causes.
func RoomRemedy(sentence string) string {
	text := plain(sentence)
	if !strings.Contains(text, "resource:eni") || strings.Contains(text, "free addresses") {
		return ""
	}
	q := networkInterfaces()
	return "the subnets have no free addresses, or the Region's network interfaces are used up: look at the free addresses of the pool's subnets (`aws ec2 describe-subnets`), and at the quota " +
		q.Code + ", " + q.Name
}

// Remedy says what a person can do about a refusal of the class configuration, from its code and its sentence.
func Remedy(code, sentence string) string {
	text := plain(code + " " + sentence)
	has := func(parts ...string) bool {
		for _, part := range parts {
			if strings.Contains(text, part) {
				return true
			}
		}
		return false
	}
	switch {
	case has("blocked"):
		return "ask AWS Support why the account is blocked"
	case has("service linked role", "service-linked role"):
		return "create ECS's service-linked role: `aws iam create-service-linked-role --aws-service-name ecs.amazonaws.com`"
	case has("iam:passrole"):
		return "allow the controller's role iam:PassRole on the task definition's task role and execution role"
	case has("expiredtoken", "invalidclienttokenid", "unrecognizedclient", "security token", "signature", "authenticationtoken", "requestexpired"):
		return "check the controller's credentials and its clock"
	case has("not authorized", "accessdenied"):
		return "allow the controller's role what the sentence names"
	case has("assume the role", "role is not valid", "execution role"):
		return "check the task definition's task role and execution role: that they exist and trust ecs-tasks.amazonaws.com"
	case has("capacity provider"):
		return "associate the capacity provider with the cluster (`aws ecs put-cluster-capacity-providers`), or take it out of the pool's capacity"
	case has("security group"):
		return "check the pool's security_groups: that they exist, and in the VPC of its subnets"
	case has("subnet"):
		return "check the pool's subnets: that they exist, and in one VPC with its security groups"
	case has("cluster"):
		return "check the pool's cluster: its name, and the Region"
	case has("platform"):
		return "check the task definition's CPU architecture, operating system and size against the platform version"
	case has("taskdefinition", "task definition", "override", "container"):
		return "check the pool's task definition: that its family has an active revision with the worker's container"
	case has("optinrequired", "subscription", "unsupportedfeature", "region"):
		return "check that the account may use Fargate in this Region"
	default:
		return "check the pool's cluster, task definition, roles, subnets and security groups"
	}
}
