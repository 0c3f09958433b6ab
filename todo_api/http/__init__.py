"""What every request passes: the gate, routing, problems, conditional requests, the OpenAPI document and /docs."""
