"""Vocabulary that protocols and storage share; imports nothing of ours."""
