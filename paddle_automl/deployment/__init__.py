"""Bundle, exporters, prediction, parity and latency; knows neither networks nor training."""
