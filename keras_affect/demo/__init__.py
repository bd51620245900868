"""The demonstration behind ``keras-affect demo``: train, score, export, run without TensorFlow.

`demo.run.run` is the line itself, `demo.faces` what it trains on, `demo.page` what it shows.
"""
