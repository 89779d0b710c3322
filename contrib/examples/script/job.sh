#!/bin/bash
#SBATCH --time=00:05:00
#SBATCH --ntasks=1
#SBATCH --mem=100M
#SBATCH --output=sorted.txt

# A batch script as it was before slurmount: its #SBATCH lines are taken over, its bytes run unchanged.
sort -n numbers.txt
