"""Export to LiteRT: quantization, conversion in a child process, metadata, and a report."""

from keras_affect.export.comparison import Comparison, compare
from keras_affect.export.conversion import ConversionError
from keras_affect.export.layer_errors import LayerError
from keras_affect.export.litert import to_litert
from keras_affect.export.quantization import QuantizationConfig
from keras_affect.export.report import ExportReport
from keras_affect.export.temporal import to_litert_clip, to_litert_streaming

__all__ = [
    "Comparison",
    "ConversionError",
    "ExportReport",
    "LayerError",
    "QuantizationConfig",
    "compare",
    "to_litert",
    "to_litert_clip",
    "to_litert_streaming",
]
