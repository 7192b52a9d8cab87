"""Who this process is to the Kubernetes API."""

import msgspec
from msgspec import Struct, field

from fulfillment_runtime.kubernetes.errors import ApiUnavailableError
from fulfillment_runtime.kubernetes.rest import Method, RestClient

_PATH = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_REVIEW = b'{"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}'


async def user_name(api: RestClient, *, timeout: float) -> str | None:
    """Ask as whom the API server takes this process; None when the cluster does not tell.

    Any cluster since Kubernetes 1.28 tells it to any user who is logged in (authentication.k8s.io/v1,
    SelfSubjectReview), unless its administrator took that right away.

    Args:
        api: as whom.
        timeout: seconds that it may take.
    """
    try:
        answer = await api.request(Method.POST, _PATH, body=_REVIEW, timeout=timeout)
    except ApiUnavailableError:  # what is asked for is done all the same
        return None
    if not answer.is_success:
        return None
    return msgspec.json.decode(answer.body, type=_SelfSubjectReview).status.user_info.username or None


class _UserInfo(Struct):
    username: str = ""


class _ReviewStatus(Struct):
    user_info: _UserInfo = field(default_factory=_UserInfo, name="userInfo")


class _SelfSubjectReview(Struct):
    """authentication.k8s.io/v1 SelfSubjectReview, as far as it is read."""

    status: _ReviewStatus = field(default_factory=_ReviewStatus)
