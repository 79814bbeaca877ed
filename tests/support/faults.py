"""What real programs and servers say when they fail, with the class of cause that a person would give it.

Written in the shape of the originals, with names of our own.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Said:
    """`text` goes to stderr and the script ends with `code`; `log` was printed before."""

    cause: str
    text: str
    code: int = 1
    log: str = ""


TERRAFORM_LOG = """\
random_id.suffix: Creating...
random_id.suffix: Creation complete after 0s [id=ZXiihg]
aws_s3_bucket.assets: Creation complete after 9s [id=shop-assets]
aws_db_instance.main: Creating..."""

SAID = {
    # --- terraform and clouds ---
    "terraform-quota": Said(
        "quota",
        "Error: creating RDS DB Instance (shop): InstanceQuotaExceeded: DB Instance quota exceeded\n"
        "        status code: 400, request id: 207280be\n\n"
        '  with aws_db_instance.main,\n  on main.tf line 15, in resource "aws_db_instance" "main":\n'
        '  15: resource "aws_db_instance" "main" {',
        log=TERRAFORM_LOG,
    ),
    "terraform-vcpu": Said(
        "quota",
        "Error: creating EC2 Instance: VcpuLimitExceeded: You have requested more vCPU capacity than your current vCPU "
        "limit of 32 allows for the instance bucket.",
    ),
    "terraform-denied": Said(
        "credentials",
        "Error: creating S3 Bucket (shop-assets): operation error S3: CreateBucket, https response error StatusCode: 403, "
        "RequestID: 4a79, api error AccessDenied: Access Denied",
    ),
    "terraform-token": Said(
        "credentials",
        "Error: configuring Terraform AWS Provider: validating provider credentials: retrieving caller identity: "
        "ExpiredToken: The security token included in the request is expired",
    ),
    "terraform-no-credentials": Said(
        "credentials", 'Error: No valid credential sources found\n\n  with provider["registry/hashicorp/aws"],'
    ),
    "terraform-timeout": Said(
        "timeout",
        "Error: waiting for RDS DB Instance (shop) create: timeout while waiting for state to become 'available' "
        "(last state: 'creating', timeout: 40m0s)",
    ),
    "terraform-variable": Said(
        "spec",
        'Error: Invalid value for variable\n\n  on variables.tf line 4:\n   4: variable "size" {\n\n'
        "The size must be one of small, medium or large.",
    ),
    "terraform-enum": Said(
        "spec",
        "ValidationException: 1 validation error detected: Value 't3.small.search' at "
        "'elasticsearchClusterConfig.instanceType' failed to satisfy constraint: Member must satisfy enum value set",
    ),
    "terraform-syntax": Said(
        "provider",
        'Error: Unsupported argument\n\n  on main.tf line 21, in resource "aws_db_instance" "main":\n'
        '  21:   strorage = 20\n\nAn argument named "strorage" is not expected here.',
    ),
    "google-rate": Said(
        "quota",
        'Error: Error when reading or editing ComputeReservation "shop": googleapi: Error 403: Quota exceeded for quota '
        "group 'ReadGroup' and limit 'Read requests per 100 seconds' of service 'compute', rateLimitExceeded",
    ),
    "google-daily": Said(
        "quota",
        'Error: Status: 403 Forbidden {"domain": "usageLimits", "reason": "dailyLimitExceeded", "message": '
        '"Daily Limit Exceeded. The quota will be reset at midnight."}',
    ),
    "google-argument": Said("spec", "ERROR: (gcloud.sql.instances.create) INVALID_ARGUMENT: Invalid request: Tier is wrong."),
    "azure-rights": Said(
        "credentials",
        "(AuthorizationFailed) The client 'shop' with object id '8597' does not have authorization to perform action "
        "'Microsoft.Resources/subscriptions/resourcegroups/write' over scope '/subscriptions/1897'\n"
        "Code: AuthorizationFailed",
    ),
    "azure-capacity": Said(
        "quota",
        "ERROR: (SkuNotAvailable) The requested VM size for resource 'Following SKUs have failed for Capacity "
        "Restrictions: Standard_D2s_v3' is currently not available in location 'westeurope'.",
    ),
    "aws-cli-keys": Said("credentials", 'Unable to locate credentials. You can configure credentials by running "aws configure".', 253),
    "aws-cli-slow-down": Said(
        "quota", "An error occurred (ThrottlingException) when calling the CreateTags operation: Rate exceeded", 254
    ),
    # --- kubernetes ---
    "kubectl-quota": Said(
        "quota",
        'Error from server (Forbidden): error when creating "app.yaml": pods "shop" is forbidden: exceeded quota: '
        "shop-quota, requested: requests.cpu=20, used: requests.cpu=32575m, limited: requests.cpu=50",
        log="namespace/shop created\nconfigmap/shop-env created",
    ),
    "kubectl-rbac": Said(
        "credentials",
        'Error from server (Forbidden): error when creating "app.yaml": deployments.apps is forbidden: User "deployer" '
        'cannot create resource "deployments" in API group "apps" in the namespace "shop"',
    ),
    "kubectl-login": Said("credentials", "error: You must be logged in to the server (Unauthorized)"),
    "kubectl-invalid": Said(
        "spec",
        'The Deployment "shop" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0',
    ),
    "kubectl-webhook": Said(
        "spec",
        'Error from server (Forbidden): error when creating "app.yaml": admission webhook "policy.example.com" denied the '
        "request: images must come from the company's registry",
    ),
    "kubectl-refused": Said(
        "provider",
        "The connection to the server 10.0.0.1:6443 was refused - did you specify the right host or port?",
    ),
    "kubectl-crd": Said(
        "provider",
        'error: resource mapping not found for name: "shop" namespace: "" from "app.yaml": no matches for kind '
        '"PostgresCluster" in version "example.com/v1"\nensure CRDs are installed first',
    ),
    "kubectl-rollout": Said("timeout", "error: timed out waiting for the condition on deployments/shop"),
    "kubectl-no-room": Said(
        "quota",
        "error: timed out waiting for the condition",
        log="Warning  FailedScheduling  12s  default-scheduler  0/3 nodes are available: 3 Insufficient cpu.\n"
        "waiting for deployment shop\nstill waiting",
    ),
    "helm-image": Said(
        "spec",
        "Error: UPGRADE FAILED: timed out waiting for the condition",
        log="Normal   Scheduled  2m  Successfully assigned shop\n"
        "Warning  Failed     50s  kubelet  Error: ErrImagePull: manifest for example/shop:2 not found: manifest unknown\n"
        "Normal   BackOff    45s  kubelet  Back-off pulling image",
    ),
    "helm-busy": Said("provider", "Error: UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress"),
    # --- git, registries, secrets ---
    "git-password": Said(
        "credentials",
        "remote: Support for password authentication was removed on August 13, 2021.\n"
        "fatal: Authentication failed for 'https://git.example.com/shop.git/'",
        128,
    ),
    "git-basic": Said(
        "credentials",
        "remote: HTTP Basic: Access denied. The provided password or token is incorrect or your account has 2FA enabled.",
        128,
    ),
    "git-permission": Said(
        "credentials",
        "remote: Permission to shop/shop.git denied to deployer.\n"
        "fatal: unable to access 'https://git.example.com/shop.git/': The requested URL returned error: 403",
        128,
    ),
    "git-key": Said(
        "credentials",
        "git@git.example.com: Permission denied (publickey).\nfatal: Could not read from remote repository.\n\n"
        "Please make sure you have the correct access rights\nand the repository exists.",
        128,
    ),
    "git-host": Said(
        "provider",
        "fatal: unable to access 'https://git.exmaple.com/shop.git/': Could not resolve host: git.exmaple.com",
        128,
    ),
    "git-conflict": Said(
        "provider",
        " ! [rejected]        main -> main (fetch first)\nerror: failed to push some refs to 'https://git.example.com/shop'",
    ),
    "docker-rate": Said(
        "quota",
        "Error response from daemon: toomanyrequests: You have reached your pull rate limit. You may increase the limit by "
        "authenticating and upgrading",
    ),
    "docker-denied": Said(
        "credentials",
        "denied: requested access to the resource is denied\nunauthorized: authentication required",
    ),
    "docker-tag": Said("spec", "Error response from daemon: manifest for example/shop:nope not found: manifest unknown"),
    "vault-denied": Said(
        "credentials",
        "Error writing data to secret/data/shop: Error making API request.\n\n"
        "URL: PUT http://vault:8200/v1/secret/data/shop\nCode: 403. Errors:\n\n* 1 error occurred:\n\t* permission denied",
        2,
    ),
    "vault-sealed": Said(
        "provider",
        "Error validating token: Error making API request.\n\nURL: GET http://vault:8200/v1/auth/token/lookup-self\n"
        "Code: 503. Errors:\n\n* Vault is sealed",
        2,
    ),
    "ansible-ssh": Said(
        "credentials",
        'fatal: [web1]: UNREACHABLE! => {"changed": false, "msg": "Failed to connect to the host via ssh: Permission denied '
        '(publickey,password).", "unreachable": true}\n'
        "PLAY RECAP ***\nweb1 : ok=0 changed=0 unreachable=1 failed=0 skipped=0 rescued=0 ignored=0",
        4,
    ),
    "ansible-timeout": Said(
        "timeout",
        'fatal: [web1]: UNREACHABLE! => {"msg": "Failed to connect to the host via ssh: ssh: connect to host web1 port 22: '
        'Connection timed out", "unreachable": true}',
        4,
    ),
    # --- databases ---
    "psql-password": Said(
        "credentials",
        'psql: error: connection to server at "db" (10.0.0.2), port 5432 failed: FATAL:  password authentication failed for '
        'user "shop"',
        2,
    ),
    "psql-slots": Said(
        "quota",
        'psql: error: connection to server at "db", port 5432 failed: FATAL:  remaining connection slots are reserved for '
        "roles with the SUPERUSER attribute",
        2,
    ),
    "psql-refused": Said(
        "provider",
        'psql: error: connection to server at "db" (10.0.0.2), port 5432 failed: Connection refused\n'
        "\tIs the server running on that host and accepting TCP/IP connections?",
        2,
    ),
    "psql-rights": Said("credentials", "ERROR:  permission denied for schema public\nLINE 1: CREATE TABLE orders (id int)", 3),
    "psql-statement": Said("timeout", "ERROR:  canceling statement due to statement timeout", 3),
    "psql-exists": Said("provider", 'ERROR:  relation "orders" already exists', 3),
    "mysql-denied": Said("credentials", "ERROR 1045 (28000): Access denied for user 'shop'@'10.0.0.7' (using password: YES)"),
    "redis-full": Said("quota", "(error) OOM command not allowed when used memory > 'maxmemory'."),
    "redis-auth": Said("credentials", "(error) NOAUTH Authentication required."),
    # --- plain tools ---
    "curl-refused": Said("provider", "curl: (7) Failed to connect to api.example.com port 443 after 3 ms: Couldn't connect to server", 7),
    "curl-timeout": Said("timeout", "curl: (28) Operation timed out after 30001 milliseconds with 0 bytes received", 28),
    "curl-401": Said("credentials", "curl: (22) The requested URL returned error: 401", 22),
    "curl-429": Said("quota", "curl: (22) The requested URL returned error: 429", 22),
    "curl-tls": Said("provider", "curl: (60) SSL certificate problem: certificate has expired", 60),
    "disk-full": Said("quota", "tar: shop/data: Cannot write: No space left on device\ntar: Error is not recoverable: exiting now", 2),
    "python-disk": Said("quota", 'Traceback (most recent call last):\n  File "make.py", line 3\nOSError: [Errno 28] No space left on device'),
    "python-type": Said("provider", "Traceback (most recent call last):\n  File \"make.py\", line 9, in <module>\nTypeError: unsupported operand type(s) for +: 'int' and 'str'"),
    "go-deadline": Said("timeout", 'Error: Get "https://api.example.com/v1": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'),
    "plain": Said("provider", "it did not work out"),
    "silent": Said("provider", "", 3),
    "unbound": Said("provider", "make.sh: line 7: REGION: unbound variable"),
    # --- exit codes that say it ---
    "killed": Said("quota", "", 137),
    "no-command": Said("platform", "sh: 3: kubectl: not found", 127),
    "timeout-program": Said("timeout", "", 124),
    "postgres-extension": Said(
        "spec",
        "This PostgreSQL has no extension `pgvector`. Did you mean `vector`? It has `plpgsql`, `vector`; name others in the "
        "param `extensions`, or none.",
        78,
        log="starting PostgreSQL 18: this takes a moment",
    ),
    "postgres-extension-refused": Said(
        "spec",
        'The extension `timescaledb` cannot be created on this PostgreSQL: extension "timescaledb" must be preloaded. Take it '
        "out of the param `extensions`, or name what it needs before it.",
        78,
    ),
    "of-no-use": Said("spec", "The server has PostgreSQL 14; version 16 was asked for.", 78),
    # --- where words mislead ---
    "timeout-in-passing": Said(
        "credentials",
        "error: access denied for key AKIA0000",
        log="connecting with timeout 30s\nINFO: earlier attempt timed out, connected on the second",
    ),
    "retried-then-denied": Said(
        "credentials",
        "request timed out, retrying (1/3)\nrequest timed out, retrying (2/3)\nHTTP 403 Forbidden: token lacks scope `repo`",
    ),
    "denied-in-passing": Said(
        "timeout",
        "WARN: cache mirror: permission denied, skipping it\nError: deadline exceeded while creating the queue",
    ),
    "quota-in-passing": Said(
        "provider",
        "Error: no such template `web`",
        log="checking quota ... 3 of 10 used\nquota check passed\nlimit: 10",
    ),
    "names-mislead": Said(
        "provider",
        "error: table `forbidden_words` already exists",
        log="creating namespace quota-service\nreading timeout.conf",
    ),
    "cleanup-denied": Said(
        "quota",
        "Error: insufficient capacity in zone a\nrolling back: could not delete volume: permission denied",
    ),
}  # fmt: skip

ANSWERS = {
    400: ("spec", b'{"message": "name must match ^[a-z]+$"}'),
    401: ("credentials", b"who are you?"),
    403: ("credentials", b"not for you"),
    404: ("provider", b"nothing here"),
    409: ("provider", b"exists already"),
    422: ("spec", b'{"errors": ["size"]}'),
    429: ("quota", b"slow down"),
    500: ("provider", b"access denied while reading our own database, timed out"),
    503: ("provider", b"down for maintenance"),
    504: ("timeout", b""),
    507: ("quota", b""),
}
"""Status → class and body."""
MORE_ANSWERS = {
    "/limited": (403, "quota", b"API rate limit exceeded for installation 7"),
    "/expired": (400, "credentials", b'{"__type": "ExpiredTokenException", "message": "The token is expired"}'),
    "/forbidden-quota-exceeded/timeout": (404, "provider", b""),
}
"""Path → status, class, body: where the status alone would mislead, or the path."""


HEARD: dict[str, tuple[str, str]] = {
    "pulumi-limit": ("quota", "error: 1 error occurred:\n\t* creating EC2 EIP: AddressLimitExceeded: The maximum number of addresses has been reached.\n\tstatus code: 400, request id: 5d"),
    "openstack-quota": ("quota", "Quota exceeded for cores: Requested 8, but already used 32 of 32 cores (HTTP 403) (Request-ID: req-1)"),
    "openstack-host": ("quota", "ERROR: Build of instance 1f aborted: No valid host was found. There are not enough hosts available."),
    "do-droplet": ("quota", 'Error: POST https://api.example.com/v2/droplets: 422 (request "7") creating this/these droplet(s) will exceed your droplet limit'),
    "hcloud-token": ("credentials", "hcloud: unable to authenticate (unauthorized, 3fa9)"),
    "cloudflare": ("credentials", "Error: failed to create DNS record: Authentication error (10000)"),
    "acme-rate": ("quota", "urn:ietf:params:acme:error:rateLimited :: There were too many requests of a given type :: too many certificates (5) already issued for this exact set of domains"),
    "acme-dns": ("provider", "DNS problem: NXDOMAIN looking up A for shop.example.com - check that a DNS record exists for this domain"),
    "github-api": ("quota", "gh: API rate limit exceeded for user ID 7. (HTTP 403)"),
    "github-scope": ("credentials", "gh: Resource not accessible by integration (HTTP 403)"),
    "mongo-auth": ("credentials", "MongoServerError: Authentication failed."),
    "mongo-select": ("timeout", "MongoServerSelectionError: Server selection timed out after 30000 ms"),
    "kafka": ("timeout", "org.apache.kafka.common.errors.TimeoutException: Call(callName=createTopics, deadlineMs=17) timed out at 17 after 1 attempt(s)"),
    "kafka-acl": ("credentials", "org.apache.kafka.common.errors.TopicAuthorizationException: Not authorized to access topics: [orders]"),
    "elastic-shards": ("quota", "validation_exception: Validation Failed: 1: this action would add [2] shards, but this cluster currently has [1000]/[1000] maximum normal shards open;"),
    "elastic-flood": ("quota", "cluster_block_exception: index [orders] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-allow-delete block];"),
    "mssql-login": ("credentials", "Msg 18456, Level 14, State 1, Server db, Line 1\nLogin failed for user 'shop'."),
    "oracle-pw": ("credentials", "ORA-01017: invalid username/password; logon denied"),
    "oracle-space": ("quota", "ORA-01653: unable to extend table SHOP.ORDERS by 128 in tablespace USERS"),
    "oracle-listener": ("provider", "ORA-12541: TNS:no listener"),
    "mysql-conn": ("quota", "ERROR 1040 (HY000): Too many connections"),
    "mysql-gone": ("provider", "ERROR 2002 (HY000): Can't connect to MySQL server on 'db' (111)"),
    "rabbit": ("credentials", "Error: operation declare_queue caused a channel exception access_refused: access to queue 'orders' in vhost '/' refused for user 'shop'"),
    "minio": ("credentials", "mc: <ERROR> Unable to make bucket `shop/assets`. The Access Key Id you provided does not exist in our records."),
    "minio-full": ("quota", "mc: <ERROR> Failed to copy `dump.sql`. Storage backend has reached its minimum free drive threshold. Please delete a few objects to proceed."),
    "ldap": ("credentials", "ldap_bind: Invalid credentials (49)"),
    "ssh-timeout": ("timeout", "ssh: connect to host web1 port 22: Connection timed out"),
    "rsync-space": ("quota", 'rsync: write failed on "/srv/shop/data": No space left on device (28)\nrsync error: error in file IO (code 11) at receiver.c(380)'),
    "apt-lock": ("provider", "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 1287 (apt-get)"),
    "npm-auth": ("credentials", "npm error code E401\nnpm error Incorrect or missing password."),
    "npm-version": ("spec", "npm error code ETARGET\nnpm error notarget No matching version found for left-pad@9.9.9."),
    "pip-version": ("spec", "ERROR: No matching distribution found for shop-lib==9.9"),
    "helm-values": ("spec", "Error: values don't meet the specifications of the schema(s) in the following chart(s):\nshop:\n- replicaCount: Invalid type. Expected: integer, given: string"),
    "helm-chart": ("provider", 'Error: chart "shop" version "1.9.0" not found in https://charts.example.com repository'),
    "argocd-sync": ("timeout", 'FATA[0300] Timed out (300s) waiting for app "shop" match desired state'),
    "argocd-token": ("credentials", "FATA[0000] rpc error: code = Unauthenticated desc = invalid session: token has invalid claims: token is expired"),
    "crossplane": ("spec", 'cannot compose resources: spec.forProvider.size: Unsupported value: "huge": supported values: "small", "large"'),
    "k8s-pvc": ("spec", 'The PersistentVolumeClaim "data" is invalid: spec: Forbidden: spec is immutable after creation except resources.requests for bound claims'),
    "k8s-oom": ("quota", "pod shop-7f terminated: Reason: OOMKilled, Exit Code: 137"),
    "k8s-eviction": ("quota", "The node was low on resource: ephemeral-storage. Container main was using 2Gi, request is 0. Pod evicted."),
    "k8s-limitrange": ("quota", 'pods "shop" is forbidden: maximum memory usage per Container is 1Gi, but limit is 4Gi'),
    "k8s-tls": ("provider", "Unable to connect to the server: x509: certificate signed by unknown authority"),
    "k8s-apiserver": ("provider", 'Error from server (InternalError): Internal error occurred: failed calling webhook "x.example.com": no endpoints available for service "x"'),
    "etcd": ("timeout", "Error from server: etcdserver: request timed out"),
    "tf-lock": ("provider", "Error: Error acquiring the state lock\n\nError message: ConditionalCheckFailedException: The conditional request failed\nLock Info:\n  ID: 9db5"),
    "tf-init": ("provider", "Error: Failed to query available provider packages\n\nCould not retrieve the list of available versions for provider hashicorp/aws"),
    "tf-bucket": ("provider", "Error: creating S3 Bucket (assets): BucketAlreadyExists: The requested bucket name is not available."),
    "tf-subnet": ("spec", "Error: creating EC2 Subnet: InvalidSubnet.Range: The CIDR '10.9.0.0/16' is invalid."),
    "az-quota": ("quota", "Operation could not be completed as it results in exceeding approved Total Regional Cores quota."),
    "az-login": ("credentials", "ERROR: Please run 'az login' to setup account."),
    "gcp-api": ("credentials", "ERROR: (gcloud.compute.instances.create) Could not fetch resource:\n - Required 'compute.instances.create' permission for 'projects/shop'"),
    "gcp-zone": ("quota", "The zone 'projects/shop/zones/europe-west1-b' does not have enough resources available to fulfill the request."),
    "docker-space": ("quota", "failed to register layer: write /usr/lib/libLLVM.so: no space left on device"),
    "docker-daemon": ("platform", "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"),
    "java-heap": ("quota", 'Exception in thread "main" java.lang.OutOfMemoryError: Java heap space'),
    "node-heap": ("quota", "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory"),
    "fork": ("quota", "sh: fork: retry: Resource temporarily unavailable"),
    "emfile": ("quota", "Error: EMFILE: too many open files, open '/srv/x'"),
    "vault-lease": ("credentials", "Error making API request. Code: 403. Errors: * invalid token"),
    "consul": ("provider", "Error querying Consul agent: Unexpected response code: 500 (No cluster leader)"),
    "snowflake": ("credentials", "250001 (08001): Failed to connect to DB: shop. Incorrect username or password was specified."),
    "smtp": ("credentials", "smtplib.SMTPAuthenticationError: (535, b'5.7.8 Username and Password not accepted.')"),
    "py-requests": ("timeout", "requests.exceptions.ReadTimeout: HTTPSConnectionPool(host='api', port=443): Read timed out. (read timeout=30)"),
    "go-tls": ("timeout", 'Post "https://api/v1": net/http: TLS handshake timeout'),
    "lock-timeout": ("timeout", "ERROR 1205 (HY000): Lock wait timeout exceeded; try restarting transaction"),
    "pg-version": ("provider", "pg_dump: error: server version: 16.1; pg_dump version: 14.9\npg_dump: error: aborting because of server version mismatch"),
    "pg-db": ("provider", 'psql: error: FATAL:  database "shop" does not exist'),
    "pg-recovery": ("provider", "psql: error: FATAL:  the database system is starting up"),
    "ibm-auth": ("credentials", "Error: [ERROR] Provided API key could not be found."),
    "alicloud": ("quota", "ErrorCode: QuotaExceed.ElasticQuota Message: The number of instances exceeds the limit of your account."),
    "oci": ("quota", "Error: 400-LimitExceeded, The following service limits were exceeded: standard-e4-core-count."),
    "oci-capacity": ("quota", "Error: 500-InternalError, Out of host capacity."),
    "linode": ("credentials", "Error: [401] Invalid Token"),
    "vsphere-space": ("quota", "error: datastore 'ds1' has not enough free space: required 40 GB"),
    "vsphere-login": ("credentials", "ServerFaultCode: Cannot complete login due to an incorrect user name or password."),
    "proxmox": ("credentials", "error: 401 no ticket"),
    "gitlab": ("credentials", '{"message":"403 Forbidden - Your account is blocked"}'),
    "gitlab-name": ("spec", "POST https://git/api/v4/projects: 400 {message: {path: [can contain only letters, digits]}} Bad Request: name is invalid"),
    "gitea": ("provider", "Error: user already exists [name: shop]"),
    "bitbucket": ("credentials", "fatal: Could not read Password for 'https://x@git': terminal prompts disabled"),
    "nexus": ("credentials", "Received status code 401 from server: Unauthorized"),
    "artifactory-quota": ("quota", "[Thread 0] Repository datastore disk usage is too high. Artifacts uploads are rejected: exceeds the storage quota limit"),
    "ecr": ("credentials", "no basic auth credentials"),
    "ghcr": ("credentials", "denied: permission_denied: write_package"),
    "buildkit": ("provider", 'ERROR: failed to solve: process "/bin/sh -c make" did not complete successfully: exit code: 2'),
    "skopeo": ("spec", 'FATA[0001] Error parsing image name "docker://X": invalid reference format: repository name must be lowercase'),
    "flux": ("timeout", "✗ context deadline exceeded waiting for Kustomization/shop"),
    "kustomize": ("provider", "Error: accumulating resources: accumulation err='accumulating resources from 'base': no such file or directory"),
    "istio": ("spec", 'Error: admission webhook "validation.istio.io" denied the request: configuration is invalid: hosts must not be empty'),
    "certmanager": ("timeout", "error: timed out waiting for the condition on certificates/shop"),
    "longhorn": ("quota", "Warning  FailedMount: volume shop is not ready: insufficient storage;precheck new replica failed"),
    "nfs": ("credentials", "mount.nfs: access denied by server while mounting nas:/shop"),
    "iscsi": ("provider", "iscsiadm: cannot make connection to 10.0.0.9: No route to host"),
    "dns-tsig": ("credentials", "; TSIG error with server: tsig verify failure\nupdate failed: NOTAUTH(BADKEY)"),
    "bind-refused": ("credentials", "update failed: REFUSED not authorized"),
    "cassandra": ("timeout", "OperationTimedOut: errors={'10.0.0.1': 'Client request timeout. See Session.execute[_async](timeout)'}"),
    "cassandra-auth": ("credentials", "AuthenticationFailed('Failed to authenticate to db: Error from server: code=0100 [Bad credentials]')"),
    "clickhouse-mem": ("quota", "Code: 241. DB::Exception: Memory limit (total) exceeded: would use 9.3 GiB"),
    "influx": ("credentials", '{"code":"unauthorized","message":"unauthorized access"}'),
    "redis-max": ("quota", "(error) ERR max number of clients reached"),
    "redis-loading": ("provider", "(error) LOADING Redis is loading the dataset in memory"),
    "pg-conn-limit": ("quota", 'FATAL:  too many connections for role "shop"'),
    "pg-hba": ("credentials", 'FATAL:  no pg_hba.conf entry for host "10.0.0.7", user "shop", database "shop", no encryption'),
    "pg-locktimeout": ("timeout", "ERROR:  canceling statement due to lock timeout"),
    "pg-disk": ("quota", 'ERROR:  could not extend file "base/1/2": No space left on device'),
    "pg-enum": ("spec", 'ERROR:  invalid input value for enum size: "huge"'),
    "flyway": ("provider", "ERROR: Validate failed: Migrations have failed validation\nMigration checksum mismatch for migration version 3"),
    "liquibase": ("timeout", "liquibase.exception.LockException: Could not acquire change log lock. Currently locked by host; timed out"),
    "sops": ("credentials", "Failed to get the data key required to decrypt the SOPS file."),
    "age": ("credentials", "age: error: no identity matched any of the recipients"),
    "aws-sso": ("credentials", "Error when retrieving token from sso: Token has expired and refresh failed"),
    "aws-mfa": ("credentials", "An error occurred (InvalidClientTokenId) when calling the GetCallerIdentity operation"),
    "aws-boundary": ("credentials", "UnauthorizedOperation: You are not authorized to perform this operation. Encoded authorization failure message: x"),
    "aws-az": ("quota", "InsufficientInstanceCapacity: We currently do not have sufficient m5.large capacity in the Availability Zone you requested"),
    "aws-eip": ("quota", "You have reached your maximum limit of 5 Elastic IPs"),
    "aws-az-name": ("spec", "InvalidParameterValue: Value (eu-west-9a) for parameter availabilityZone is invalid."),
    "aws-dep": ("provider", "DependencyViolation: The subnet 'subnet-1' has dependencies and cannot be deleted."),
    "git-lfs": ("quota", "batch response: This repository is over its data quota. Account responsible should purchase more data packs"),
    "git-lock": ("provider", "fatal: Unable to create '/srv/shop/.git/index.lock': File exists."),
    "git-protected": ("credentials", "remote: error: GH006: Protected branch update failed for refs/heads/main.\nremote: error: You're not allowed to push"),
    "bash-perm": ("credentials", "mkdir: cannot create directory '/srv/shop': Permission denied"),
    "bash-ro": ("provider", "touch: cannot touch '/srv/x': Read-only file system"),
    "bash-arg": ("provider", "sh: 4: Syntax error: Unterminated quoted string"),
    "make": ("platform", "make: terraform: command not found\nmake: *** [apply] Error 127"),
    "py-import": ("provider", "ModuleNotFoundError: No module named 'boto3'"),
    "py-key": ("provider", "KeyError: 'host'"),
    "segv": ("provider", "Segmentation fault (core dumped)"),
}  # fmt: skip
"""More of them, as a class and the last words on standard error."""
