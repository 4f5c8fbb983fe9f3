"""The pages: what there is to read, signing in, Swagger UI and ReDoc."""

from fastapi import FastAPI

from backend_hub.site import (
    account,
    account_apps,
    account_data,
    account_factors,
    account_identities,
    account_sessions,
    account_sign_in,
    account_tokens,
    assets,
    authorize,
    dev_mail,
    device,
    errors,
    logout,
    pages,
    passkeys,
    recovery,
    reference,
    second_step,
    sign_in,
    sign_in_with,
)


def install(app: FastAPI) -> None:
    """Add the pages, their files and their errors."""
    assets.install(app)
    errors.install(app)
    app.include_router(pages.router)
    app.include_router(reference.router)
    app.include_router(sign_in.router)
    app.include_router(sign_in_with.router)
    app.include_router(second_step.router)
    app.include_router(passkeys.router)
    app.include_router(authorize.router)
    app.include_router(device.router)
    app.include_router(logout.router)
    app.include_router(account.router)
    app.include_router(account_identities.router)
    app.include_router(account_sign_in.router)
    app.include_router(recovery.router)
    app.include_router(dev_mail.router)
    app.include_router(account_factors.router)
    app.include_router(account_sessions.router)
    app.include_router(account_tokens.router)
    app.include_router(account_data.router)
    app.include_router(account_apps.router)
