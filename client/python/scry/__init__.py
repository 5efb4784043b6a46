"""Client of a scry server, and export of trained models to bundles.

    client = scry.connect("localhost:8001")
    answers = client.score("churn", frame, reasons=3)      # a DataFrame in, a DataFrame out
    scry.export(pipeline, X, y, "churn")                   # a fitted scikit-learn pipeline to a bundle

The generated stubs lie beside, by the names of the contract: scry.scoring.v1.scoring_pb2 and so on.
"""

from typing import TYPE_CHECKING, Any

from ._client import Client, connect
from ._errors import Error, ItemErrors

if TYPE_CHECKING:
    from ._export import Exported, export

__version__ = "0.1.0"
__all__ = ["Client", "Error", "Exported", "ItemErrors", "connect", "export"]


def __getattr__(name: str) -> Any:
    # Exporting needs scikit-learn, skl2onnx and ONNX Runtime; calling a server does not.
    if name in ("export", "Exported"):
        from . import _export

        return getattr(_export, name)
    raise AttributeError(f"module 'scry' has no attribute {name!r}")
