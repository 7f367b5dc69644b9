"""The API of the tutorial that scopegate grew from: Flask with Authlib. It is the reference that our answers are held against."""

import os

import requests
from authlib.integrations.flask_oauth2 import ResourceProtector
from authlib.jose import JsonWebKey
from authlib.oauth2.rfc7523 import JWTBearerTokenValidator
from flask import Flask, jsonify
from werkzeug.serving import make_server


class RealmTokenValidator(JWTBearerTokenValidator):
    def __init__(self, issuer):
        metadata = requests.get(f"{issuer}/.well-known/openid-configuration", timeout=10).json()
        keys = requests.get(metadata["jwks_uri"], timeout=10).json()
        super().__init__(JsonWebKey.import_key_set(keys))
        # Authlib's own list wants a claim grant_type, which Keycloak does not send.
        self.claims_options = {
            "exp": {"essential": True},
            "iss": {"essential": True, "value": issuer},
        }


require_auth = ResourceProtector()
require_auth.register_token_validator(RealmTokenValidator(os.environ["ISSUER"]))
app = Flask(__name__)


@app.route("/api/public")
def public():
    return jsonify(message="for everybody")


@app.route("/api/private")
@require_auth(None)
def private():
    return jsonify(message="for any valid token")


@app.route("/api/private-scoped")
@require_auth("test_api_access")
def private_scoped():
    return jsonify(message="for the scope test_api_access")


@app.route("/api/both")
@require_auth(["test_api_access", "email"])
def both():
    return jsonify(message="for both scopes, says the tutorial")


if __name__ == "__main__":
    server = make_server("127.0.0.1", 0, app, threaded=True)
    print(f"port {server.server_port}", flush=True)
    server.serve_forever()
