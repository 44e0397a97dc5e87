FROM python:3.11-slim

# Packages first: a change of code then leaves them installed.
COPY requirements.txt /requirements.txt
RUN pip install --no-cache-dir -r /requirements.txt

# The Challenge's three lines.
RUN mkdir /physionet
COPY ./ /physionet
WORKDIR /physionet
