"""What a shell offers where a name of ours may stand; where none fits it offers files."""


def models(incomplete: str) -> list[str]:
    """Shipped models."""
    from cplxsep.model_folder import catalogue

    return [name for name in catalogue.names() if name.startswith(incomplete)]


def configs(incomplete: str) -> list[str]:
    """Shipped configurations of training, those of models among them."""
    from cplxsep.config import shipped

    own = [name for name in shipped.names() if name.startswith(incomplete)]
    return own + models(incomplete)
