"""Drives every operation that the sandbox serves with boto3, a client that others wrote.

usage: clients.py ENDPOINT

It ends at the first answer that is not as it should be. Which operations it left out is for the sandbox's counts to tell.
"""

import io
import json
import sys

import boto3
from botocore import xform_name
from botocore.config import Config

ENDPOINT = sys.argv[1]
CLIENTS = {
    service: boto3.client(
        service, endpoint_url=ENDPOINT, region_name="us-east-1",
        aws_access_key_id="conformance", aws_secret_access_key="conformance",
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 2}),
    )
    for service in ("ecs", "sqs", "dynamodb", "dynamodbstreams", "s3")
}


def call(service, operation, **parameters):
    return getattr(CLIENTS[service], xform_name(operation))(**parameters)


def want(condition, sentence):
    if not condition:
        sys.exit(sentence)


def ecs():
    def do(operation, **parameters):
        return call("ecs", operation, **parameters)

    do("CreateCluster", clusterName="hpc", capacityProviders=["FARGATE", "FARGATE_SPOT"])
    statistics = do("DescribeClusters", clusters=["hpc"], include=["STATISTICS"])
    want(statistics["clusters"][0]["status"] == "ACTIVE", "the cluster is not active")
    want(len(do("ListClusters")["clusterArns"]) == 1, "not one cluster")
    definition = do(
        "RegisterTaskDefinition", family="f", cpu="256", memory="512", networkMode="awsvpc", requiresCompatibilities=["FARGATE"],
        containerDefinitions=[{"name": "main", "image": "worker", "essential": True, "command": ["sleep", "60"]}],
    )["taskDefinition"]["taskDefinitionArn"]
    want(do("DescribeTaskDefinition", taskDefinition="f")["taskDefinition"]["revision"] == 1, "not revision 1")
    want(do("ListTaskDefinitions", familyPrefix="f")["taskDefinitionArns"] == [definition], "the definition is not listed")
    network = {"awsvpcConfiguration": {"subnets": ["subnet-a"]}}
    task = do("RunTask", cluster="hpc", taskDefinition="f", launchType="FARGATE", networkConfiguration=network)["tasks"][0]["taskArn"]
    want(do("ListTasks", cluster="hpc")["taskArns"] == [task], "the task is not listed")
    want(do("DescribeTasks", cluster="hpc", tasks=[task])["tasks"][0]["desiredStatus"] == "RUNNING", "the task is not to run")
    want(do("StopTask", cluster="hpc", task=task, reason="enough")["task"]["desiredStatus"] == "STOPPED", "the task is not to stop")
    want(do("DeregisterTaskDefinition", taskDefinition=definition)["taskDefinition"]["status"] == "INACTIVE", "the definition is active")


def sqs():
    def do(operation, **parameters):
        return call("sqs", operation, **parameters)

    url = do("CreateQueue", QueueName="q")["QueueUrl"]
    want(do("GetQueueUrl", QueueName="q")["QueueUrl"] == url, "another URL")
    want(do("ListQueues", QueueNamePrefix="q")["QueueUrls"] == [url], "the queue is not listed")
    do("SetQueueAttributes", QueueUrl=url, Attributes={"VisibilityTimeout": "45"})
    attributes = do("GetQueueAttributes", QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
    want(attributes == {"VisibilityTimeout": "45"}, f"attributes {attributes}")
    do("SendMessage", QueueUrl=url, MessageBody="one", MessageAttributes={"kind": {"DataType": "String", "StringValue": "job"}})
    do("SendMessageBatch", QueueUrl=url, Entries=[{"Id": str(i), "MessageBody": str(i)} for i in range(3)])
    messages = do("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])["Messages"]
    want(len(messages) == 4, f"{len(messages)} messages")
    handles = [m["ReceiptHandle"] for m in messages]
    do("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=handles[0], VisibilityTimeout=60)
    changed = do("ChangeMessageVisibilityBatch", QueueUrl=url, Entries=[{"Id": "a", "ReceiptHandle": handles[1], "VisibilityTimeout": 60}])
    want(len(changed["Successful"]) == 1, "not changed")
    do("DeleteMessage", QueueUrl=url, ReceiptHandle=handles[0])
    deleted = do("DeleteMessageBatch", QueueUrl=url, Entries=[{"Id": str(i), "ReceiptHandle": h} for i, h in enumerate(handles[1:])])
    want(len(deleted["Successful"]) == 3, "not all deleted")
    do("PurgeQueue", QueueUrl=url)
    do("DeleteQueue", QueueUrl=url)


def dynamodb():
    def do(operation, **parameters):
        return call("dynamodb", operation, **parameters)

    def key(k):
        return {"k": {"S": k}}

    do("CreateTable", TableName="table", BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
       AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}])
    do("UpdateTable", TableName="table", StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"})
    do("UpdateTimeToLive", TableName="table", TimeToLiveSpecification={"AttributeName": "ttl", "Enabled": True})
    ttl = do("DescribeTimeToLive", TableName="table")["TimeToLiveDescription"]
    want(ttl["AttributeName"] == "ttl", f"time to live of {ttl}")
    stream = do("DescribeTable", TableName="table")["Table"]["LatestStreamArn"]
    want(do("ListTables")["TableNames"] == ["table"], "the table is not listed")
    do("PutItem", TableName="table", Item={**key("a"), "n": {"N": "1"}})
    do("UpdateItem", TableName="table", Key=key("a"), UpdateExpression="ADD n :one", ExpressionAttributeValues={":one": {"N": "1"}})
    want(do("GetItem", TableName="table", Key=key("a"), ConsistentRead=True)["Item"]["n"] == {"N": "2"}, "the item has not 2")
    do("BatchWriteItem", RequestItems={"table": [{"PutRequest": {"Item": key(k)}} for k in "bc"]})
    want(len(do("BatchGetItem", RequestItems={"table": {"Keys": [key(k) for k in "abc"]}})["Responses"]["table"]) == 3, "not three items")
    do("TransactWriteItems", TransactItems=[{"Put": {"TableName": "table", "Item": key("d")}}, {"Delete": {"TableName": "table", "Key": key("c")}}])
    got = do("TransactGetItems", TransactItems=[{"Get": {"TableName": "table", "Key": key("d")}}])["Responses"]
    want(got[0]["Item"] == key("d"), f"the transaction read {got}")
    found = do("Query", TableName="table", KeyConditionExpression="k = :k", ExpressionAttributeValues={":k": {"S": "a"}})
    want(found["Count"] == 1, "the query found nothing")
    want(do("Scan", TableName="table")["Count"] == 3, "the scan did not find three")
    do("DeleteItem", TableName="table", Key=key("a"))
    streams(stream)
    do("DeleteTable", TableName="table")


def streams(arn):
    def do(operation, **parameters):
        return call("dynamodbstreams", operation, **parameters)

    want([s["StreamArn"] for s in do("ListStreams", TableName="table")["Streams"]] == [arn], "the stream is not listed")
    records = []
    for shard in do("DescribeStream", StreamArn=arn)["StreamDescription"]["Shards"]:
        iterator = do("GetShardIterator", StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        records += do("GetRecords", ShardIterator=iterator)["Records"]
    want(len(records) == 7, f"{len(records)} records")


def s3():
    def do(operation, **parameters):
        return call("s3", operation, **parameters)

    at = {"Bucket": "bucket", "Key": "k"}
    do("CreateBucket", Bucket="bucket")
    do("HeadBucket", Bucket="bucket")
    do("GetBucketLocation", Bucket="bucket")
    want([b["Name"] for b in do("ListBuckets")["Buckets"]] == ["bucket"], "the bucket is not listed")
    etag = do("PutObject", **at, Body=b"hello", IfNoneMatch="*", Metadata={"job": "1"})["ETag"]
    got = do("GetObject", **at, IfMatch=etag)
    want(got["Body"].read() == b"hello" and got["Metadata"] == {"job": "1"}, "another object")
    want(do("HeadObject", **at)["ContentLength"] == 5, "another length")
    do("CopyObject", Bucket="bucket", Key="copy", CopySource={"Bucket": "bucket", "Key": "k"})
    want([o["Key"] for o in do("ListObjectsV2", Bucket="bucket")["Contents"]] == ["copy", "k"], "not two objects")
    want(len(do("ListObjects", Bucket="bucket")["Contents"]) == 2, "not two objects")
    multipart(do)
    rules = [{"ID": "r", "Status": "Enabled", "Filter": {"Prefix": "x/"}, "Expiration": {"Days": 3}}]
    do("PutBucketLifecycleConfiguration", Bucket="bucket", LifecycleConfiguration={"Rules": rules})
    want(do("GetBucketLifecycleConfiguration", Bucket="bucket")["Rules"][0]["Expiration"] == {"Days": 3}, "other rules")
    do("DeleteBucketLifecycle", Bucket="bucket")
    notify(do)
    do("DeleteObject", **at)
    deleted = do("DeleteObjects", Bucket="bucket", Delete={"Objects": [{"Key": "copy"}, {"Key": "parts"}, {"Key": "told"}]})
    want(len(deleted["Deleted"]) == 3, "not all deleted")
    do("DeleteBucket", Bucket="bucket")


def multipart(do):
    at = {"Bucket": "bucket", "Key": "parts"}
    upload = do("CreateMultipartUpload", **at)["UploadId"]
    part = do("UploadPart", **at, UploadId=upload, PartNumber=1, Body=io.BytesIO(b"part"))["ETag"]
    want(len(do("ListParts", **at, UploadId=upload)["Parts"]) == 1, "the part is not listed")
    want(len(do("ListMultipartUploads", Bucket="bucket")["Uploads"]) == 1, "the upload is not listed")
    do("CompleteMultipartUpload", **at, UploadId=upload, MultipartUpload={"Parts": [{"ETag": part, "PartNumber": 1}]})
    upload = do("CreateMultipartUpload", **at)["UploadId"]
    copied = do("UploadPartCopy", **at, UploadId=upload, PartNumber=1, CopySource={"Bucket": "bucket", "Key": "parts"})
    want(copied["CopyPartResult"]["ETag"] == part, "another part")
    do("AbortMultipartUpload", **at, UploadId=upload)


def notify(do):
    url = call("sqs", "CreateQueue", QueueName="told")["QueueUrl"]
    arn = call("sqs", "GetQueueAttributes", QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    do("PutBucketNotificationConfiguration", Bucket="bucket",
       NotificationConfiguration={"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]})
    want(len(do("GetBucketNotificationConfiguration", Bucket="bucket")["QueueConfigurations"]) == 1, "no notification")
    do("PutObject", Bucket="bucket", Key="told", Body=b"")
    bodies = [json.loads(m["Body"]) for m in call("sqs", "ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=10)["Messages"]]
    want(any(r["s3"]["object"]["key"] == "told" for b in bodies for r in b.get("Records", [])), f"the queue was told {bodies}")


for drive in (ecs, sqs, dynamodb, s3):
    drive()
