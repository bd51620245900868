"""Export to LiteRT: quantization, conversion in a child process, metadata, and a report."""

from keras_affect.export.conversion import ConversionError
from keras_affect.export.litert import to_litert
from keras_affect.export.quantization import QuantizationConfig
from keras_affect.export.report import ExportReport

__all__ = ["ConversionError", "ExportReport", "QuantizationConfig", "to_litert"]
