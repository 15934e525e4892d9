"""Judging answers that run in this process: known ones, which are not hostile."""

from nanopoet.checker import judge as judging
from nanopoet.checker import recognition
from nanopoet.checker.trial import rehearse


def judge(task, answer, seed, **options):
    return judging.judge(task, rehearse(task, answer), seed, **options)


def name_misconception(verdict, answer, *limits):
    recognition.name_misconception(verdict, rehearse(verdict.task, answer), *limits)
