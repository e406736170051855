"""Names of shipped models. Importing this loads nothing: the help shows the defaults."""

DEFAULT_MODEL = "dce-talk"
DEFAULT_ENHANCER = "dce-denoise"

# Names of earlier versions, and the models that took their place. Each holds from the day on that
# its model is shipped; a folder of the old name counts no more then.
ALIASES = {"dce-2spk-8k": "dce-2spk", "dce-denoise-16k": "dce-denoise"}
