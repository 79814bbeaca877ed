"""The words by which programs and servers tell why they failed: one table, most telling first.

A class is looked for in this order within a line. Phrases are patterns, read without regard to case; each has to be
something that is said of a failure ("quota exceeded"), not a word that turns up in passing ("quota").
"""

import re
from dataclasses import dataclass

from engine.domain.diagnosis import CauseClass


@dataclass(frozen=True, slots=True)
class Telltale:
    """`weak` words say what was seen, not why: a wait that timed out waited for something else that failed."""

    cause: CauseClass
    pattern: re.Pattern[str]
    weak: bool = False


def _said(cause: CauseClass, *phrases: str, weak: bool = False) -> Telltale:
    return Telltale(cause, re.compile("|".join(phrases), re.IGNORECASE), weak)


TELLTALES: tuple[Telltale, ...] = (
    _said(
        CauseClass.QUOTA,
        r"quota.{0,40}(exceeded|exhausted|reached)|exceeding .{0,60}\b(quota|limit)s?\b",
        r"exceed(s|ed|ing)? .{0,40}(?<!time )(?<!time-)\b(quota|limit|watermark)s?\b",
        r"over (its |your |the )?(\w+ )?quota|(flood-stage|high) watermark|out of (\w+ )?capacity",
        r"(memory|disk|cpu|storage) limit .{0,20}exceeded|reached (your|the|its) (maximum )?(limit|quota)",
        r"max(imum)? number of \w+ (reached|exceeded)",
        r"(?<!time )(?<!time-)(?<!recursion )limits? ?(was |were |has been |have been |is )?(exceeded|reached)",
        r"rate.?limit(s|ed|ing|exceeded)?\b|rate exceeded|slow ?down\b.*request|throttl(ed|ing)",
        r"too[ _]?many[ _]?(requests|clients|connections|open files|certificates)|connection slots are reserved",
        r"no space left|\bENOSPC\b|disk (is )?full|disk quota|database or disk is full|unable to extend",
        r"out ?of ?memory|\bOOM.?Killed|OOM command not allowed|cannot allocate memory|\bMemoryError\b",
        r"heap (limit|space)|resource temporarily unavailable",
        r"insufficient ?(cpu|memory|ephemeral.storage|storage|disk|space|resources|capacity|funds|credit|quota)",
        r"insufficient\w{0,30}capacity|insufficient free|minimum free .{0,30}threshold",
        r"not (have )?enough (free )?(\w+ )?(memory|disk|space|capacity|resources|hosts|storage)",
        r"resource.?exhausted|skunotavailable|maximum (number|count|amount) of .{0,60}(reached|exceeded)",
        r"\[[0-9]+\]/\[[0-9]+\] maximum|(maximum|minimum) (cpu|memory) usage per|\bevicted\b|payment required",
        r"(status|code|error|http|answered)[ :=/.\d]{1,8}\(?(402|429|507)\b",
    ),
    _said(
        CauseClass.SPEC,
        r"admission webhook .{0,120}denied the request|violates (PodSecurity|policy)|denied by policy",
        r"(is|are) immutable|immutable field",
    ),
    _said(
        CauseClass.CREDENTIALS,
        r"access.?denied|permission.?denied|\bunauthori[sz]ed|unauthenticated|\bforbidden\b|not authori[sz]ed",
        r"authorization(failed| failed|header.?malformed)|authfailure|bad credentials|denied: requested access",
        r"authentication (is )?(failed|failure|required|error)|authenticationfailed|auth(entication)? failed",
        r"not allowed to (push|access|write|read|create|delete|use)|no pg_hba.conf entry|\bBADKEY\b",
        r"api key .{0,20}(not found|not be found|not valid)|(required|failed|unable) to decrypt|no identity matched",
        r"access.?refused|access to .{0,80} refused for|logon denied|not accessible by|authenticationerror",
        r"(invalid|expired|missing|bad|incorrect|wrong)( \w+)? (credential|token|password|secret|signature|key id)s?\b",
        r"(invalid|incorrect|wrong|unknown) (user ?name|login)|user ?name (and|or) password (not|in|was)",
        r"invalid (api|access|client|ssh) ?key|invalidclienttokenid|signaturedoesnotmatch|invalidaccesskeyid",
        r"access key id .{0,40}does not exist|expired_?token|token ?(is |has |was )?(expired|invalid|revoked)",
        r"(locate|find|load|valid|missing|no)( \w+){0,2} credentials?\b|could not read (username|password)",
        r"login (failed|denied|incorrect)|\bNOAUTH\b|\bWRONGPASS\b|must be logged in|must be owner of",
        r"run '?\w+ (auth )?login",
        r"insufficient (privilege|permission|scope)s?|(does not have|lacks|missing|no) .{0,60}\bpermissions?\b",
        r"required .{1,80} permission|permission to .{1,100} denied",
        r"(status|code|error|http|answered)[ :=/.\d]{1,8}\(?(401|403|407)\b|\bE40[13]\b",
    ),
    _said(
        CauseClass.SPEC,
        r"invalid (value|argument|parameter|input|image name|reference format|cidr|size|region|type)\b",
        r"invalid_?argument|invalidparameter|\bInvalid[A-Z]\w{2,40}\.[A-Z]|(?<!certificate )\bis invalid\b",
        r"(?<!certificate )validation ?(failed|error|exception)|don't meet the specifications",
        r"does not match .{0,30}pattern|is not (one of|a valid|allowed as)|must be (one of|between|at least|at most)",
        r"invalidimagename|errimagepull|imagepullbackoff|manifest unknown|manifest for .{1,200} not found",
        r"unknown field|unsupported (value|version|size|region|engine|instance)|out of range",
        r"no matching (version|distribution)",
    ),
    _said(
        CauseClass.TIMEOUT,
        r"timed.?out|time limit exceeded|deadline.?exceeded|exceeded (its |the )?\w* ?(deadline|timeout)",
        r"timeout ?(error|exception|expired|exceeded|reached|occurred|waiting|while|after|was)",
        r"(handshake|read|connect|connection|request|i/o|statement) timeout(?! ?[=:(]? ?[0-9])",
        r"timeout: |\bETIMEDOUT\b|took too long|did not (become|answer|finish|complete|start|respond) .{0,40}within",
        r"(status|code|error|http|answered)[ :=/.\d]{1,8}\(?(408|504)\b|gateway time-?out|lock.{0,10}timeout",
        weak=True,
    ),
    _said(
        CauseClass.PLATFORM,
        r"command not found|executable file not found in|is not installed here|is the docker daemon running",
        weak=True,
    ),
    _said(
        CauseClass.PROVIDER,
        r"connection (was )?(refused|reset|closed|aborted)|\bECONN(REFUSED|RESET)\b|takes no connection",
        r"(could not|couldn't|can't|cannot|failed to|unable to) (connect|resolve)|no route to host|is unreachable",
        r"name resolution|name or service not known|no such host|\bENOTFOUND\b|\bEAI_AGAIN\b",
        r"x509|certificate|ssl.{0,20}(error|problem|failure)|bad gateway|service unavailable|internal server error",
        r"already exists|does not exist|not found|syntax error",
        weak=True,
    ),
)

_ERROR = re.compile(
    r"error|fatal|fail|denied|forbidden|unauthori[sz]ed|cannot|could not|couldn't|can't|unable|invalid|refused|"
    r"exception|panic|exceeded|insufficient|exhausted|not allowed|throttl|warning  |killed|evicted|reason:|back-?off",
    re.IGNORECASE,
)
_PASSING = re.compile(
    r"^\W*(\S{1,40}\s+){0,3}\W?(debug|info|trace|notice|warn(ing)?)\b\s?[\]:|]"
    r"|^\W*(\S{1,40}\s+){0,2}\[?(debug|info|trace|notice)\b|level=\"?(debug|info|trace|warn)"
    r"|\b(retrying|will retry|trying again|trying (the )?(next|another)|ignor(ed|ing)|skipp(ed|ing)|fall(ing)? ?back)\b"
    r"|\b(succeeded|recovered|continuing|rolling back|rollback|clean(ing)? ?up|deprecated)\b|\bcheck(s)? passed\b",
    re.IGNORECASE,
)


def is_error(line: str) -> bool:
    """Whether the line tells of a failure, whatever of."""
    return _ERROR.search(line) is not None and not is_passing(line)


def is_passing(line: str) -> bool:
    """Whether what the line tells did not stop anything: it is information, or was got over."""
    return _PASSING.search(line) is not None


def telltale(line: str) -> Telltale | None:
    return next((found for found in TELLTALES if found.pattern.search(line)), None)
