# What all parts of the simulation share.
structure          $base.psf
coordinates        $base.pdb
paraTypeCharmm     on
parameters         $base.prm
exclude            scaled1-4
cutoff             12.0
switching          on
switchdist         10.0
pairlistdist       14.0
timestep           2.0
langevin           on
langevinDamping    1.0
langevinTemp       $temperature
