"""Who this process is to the Kubernetes API."""

from kubernetes.aio import client

from fulfillment_runtime.kubernetes_errors import KubernetesError, translated_errors


async def user_name(api: client.ApiClient, *, patience: float) -> str | None:
    """Ask as whom the API server takes this process; None when the cluster does not tell.

    Any cluster since Kubernetes 1.28 tells it to any user who is logged in (authentication.k8s.io/v1,
    SelfSubjectReview), unless its administrator took that right away.

    Args:
        api: as whom.
        patience: seconds that it may take.
    """
    try:
        with translated_errors():
            review = await client.AuthenticationV1Api(api).create_self_subject_review(
                client.V1SelfSubjectReview(), _request_timeout=patience
            )
    except KubernetesError:  # what is asked for is done all the same
        return None
    user = review.status.user_info if review.status else None
    return (user.username if user else None) or None
