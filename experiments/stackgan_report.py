def report(config, workdir):
    pass
