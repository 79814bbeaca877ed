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
