"""The administrator's commands, whoever starts them: a terminal (cli.doveadm) or the doveadm server."""
